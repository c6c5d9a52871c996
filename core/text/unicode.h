#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/text/utf8.h"

namespace trireme {

// What Unicode says of a code point, by utf8proc's tables (Unicode 15).

bool is_white_space(char32_t code_point);      ///< property White_Space
bool is_letter(char32_t code_point);           ///< general category L
bool is_digit(char32_t code_point);            ///< general category Nd
bool is_number(char32_t code_point);           ///< general category N
bool is_mark(char32_t code_point);             ///< general category M
bool is_nonspacing_mark(char32_t code_point);  ///< general category Mn
/// P, or an ASCII symbol such as $ and ^ (as BERT counts).
bool is_punctuation(char32_t code_point);
/// Cc, Cf or Co, and not tab, line feed or carriage return.
bool is_control(char32_t code_point);

/// Lower case of one code point; U+0130 gives two (i and a dot above).
void append_lower_case(std::string& text, char32_t code_point);

/// Unicode normalization forms of valid UTF-8.
std::string to_nfd(std::string_view text);
std::string to_nfc(std::string_view text);

/// Calls visit(char32_t) for each code point; U+FFFD for each byte that is not UTF-8.
template <class Visit>
void for_each_code_point(std::string_view text, Visit&& visit) {
  for (size_t position = 0; position < text.size();) {
    const auto code_point = next_code_point(text, position);
    if (!code_point) ++position;
    visit(code_point.value_or(0xFFFD));
  }
}

/// Of valid UTF-8.
int64_t count_code_points(std::string_view text);

}  // namespace trireme
