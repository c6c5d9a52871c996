#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme {

/// The code point that begins at `position`, which moves behind it; nothing (and no move) where the bytes are
/// not well-formed UTF-8 (Unicode 15, table 3-7: no surrogates, no overlong forms).
std::optional<char32_t> next_code_point(std::string_view text, size_t& position);

/// Length of the longest prefix that is well-formed UTF-8.
size_t valid_utf8_prefix(std::string_view text);

void append_utf8(std::string& text, char32_t code_point);

}  // namespace trireme
