#include "core/metrics/bleu_tokens.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>

#include "core/base/error.h"

namespace trireme {
namespace {

std::vector<char32_t> decode(std::string_view text) {
  std::vector<char32_t> codes;
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t code = 0;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                                         static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (length < 0)
      throw DataError(fmt::format("text for BLEU: byte {} of '{}' is not UTF-8; convert the file", at, text));
    codes.push_back(static_cast<char32_t>(code));
    at += static_cast<size_t>(length);
  }
  return codes;
}

void append(std::string& text, char32_t code) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(length));
}

/// What Python's str.split() cuts at: Unicode's white space and four separators of ASCII.
bool is_space(char32_t code) {
  static constexpr char32_t kSpaces[] = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) ||
         (code >= 0x2000 && code <= 0x200A) || std::ranges::find(kSpaces, code) != std::end(kSpaces);
}

enum class Casing { kCased, kIgnorable, kOther };

/// For the final sigma (Unicode Standard, section 3.13).
Casing casing_of(char32_t code) {
  static constexpr char32_t kMarks[] = {'\'', '.', ':', 0xB7, 0x2018, 0x2019, 0x2024, 0x2027};
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(code))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
      return Casing::kCased;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK:
      return Casing::kIgnorable;
    default:
      return std::ranges::find(kMarks, code) != std::end(kMarks) ? Casing::kIgnorable : Casing::kOther;
  }
}

/// Whether the next that is not ignorable is a cased letter.
template <class Iterator>
bool meets_letter(Iterator begin, Iterator end) {
  const auto found =
      std::find_if(begin, end, [](char32_t code) { return casing_of(code) != Casing::kIgnorable; });
  return found != end && casing_of(*found) == Casing::kCased;
}

/// As Python's str.lower(), which has Unicode's two special cases: the final sigma and the dotted I.
std::string lower(std::string_view segment) {
  const std::vector<char32_t> codes = decode(segment);
  std::string text;
  for (auto code = codes.begin(); code != codes.end(); ++code) {
    if (*code == 0x03A3) {
      const bool is_final = meets_letter(std::make_reverse_iterator(code), codes.rend()) &&
                            !meets_letter(code + 1, codes.end());
      append(text, is_final ? 0x03C2 : 0x03C3);
    } else if (*code == 0x0130) {
      append(text, 'i');
      append(text, 0x0307);
    } else {
      append(text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(*code))));
    }
  }
  return text;
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_mark(char c) {
  return c == '.' || c == ',';
}
/// ASCII punctuation that always stands alone: all but ' , - .
bool is_symbol(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

/// Cuts between the two bytes of every pair that `matches`, from left to right without overlap, and before
/// or behind it where asked. Bytes serve, for what is matched beside ASCII is any character.
template <class Matches>
std::string cut_pairs(const std::string& text, Matches&& matches, bool before, bool behind) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      result += text[i];
      continue;
    }
    if (before) result += ' ';
    result += text[i];
    result += ' ';
    result += text[++i];
    if (behind) result += ' ';
  }
  return result;
}

std::string mteval_13a(std::string text) {
  replace_all(text, "<skipped>", "");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
  std::string apart = " ";
  for (const char c : text) apart += is_symbol(c) ? std::string{' ', c, ' '} : std::string{c};
  apart += ' ';
  apart = cut_pairs(
      apart, [](char a, char b) { return !is_digit(a) && is_mark(b); }, false, true);
  apart = cut_pairs(
      apart, [](char a, char b) { return is_mark(a) && !is_digit(b); }, true, false);
  return cut_pairs(
      apart, [](char a, char b) { return is_digit(a) && b == '-'; }, false, true);
}

}  // namespace

const char* name_of(BleuTokenizer tokenizer) {
  return tokenizer == BleuTokenizer::k13a ? "13a" : "none";
}

std::vector<std::string> bleu_tokens(std::string_view segment, const BleuTokens& options) {
  std::string text = options.lowercase ? lower(segment) : std::string(segment);
  if (options.tokenizer == BleuTokenizer::k13a) text = mteval_13a(std::move(text));
  std::vector<std::string> tokens;
  bool inside = false;
  for (const char32_t code : decode(text)) {
    const bool space = is_space(code);
    if (!space && !inside) tokens.emplace_back();
    if (!space) append(tokens.back(), code);
    inside = !space;
  }
  return tokens;
}

}  // namespace trireme
