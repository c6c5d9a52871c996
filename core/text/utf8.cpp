#include "core/text/utf8.h"

#include <cstring>

namespace trireme {

std::optional<char32_t> next_code_point(std::string_view text, size_t& position) {
  if (position >= text.size()) return std::nullopt;
  const auto byte_at = [&](size_t offset) { return static_cast<unsigned char>(text[position + offset]); };
  const unsigned char first = byte_at(0);
  if (first < 0x80) {
    ++position;
    return first;
  }
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || position + length > text.size()) return std::nullopt;
  char32_t code_point = first & (0xFFu >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte_at(i) & 0xC0) != 0x80) return std::nullopt;
    code_point = code_point << 6 | (byte_at(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = code_point >= 0xD800 && code_point < 0xE000;
  if (overlong || surrogate || code_point > 0x10FFFF) return std::nullopt;
  position += length;
  return code_point;
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t position = 0;
  while (position < text.size()) {
    uint64_t word;
    while (position + 8 <= text.size()) {
      std::memcpy(&word, text.data() + position, 8);
      if (word & 0x8080808080808080u) break;
      position += 8;
    }
    if (position == text.size() || !next_code_point(text, position)) break;
  }
  return position;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto append = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    append(code_point);
  } else if (code_point < 0x800) {
    append(0xC0 | code_point >> 6);
    append(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    append(0xE0 | code_point >> 12);
    append(0x80 | (code_point >> 6 & 0x3F));
    append(0x80 | (code_point & 0x3F));
  } else {
    append(0xF0 | code_point >> 18);
    append(0x80 | (code_point >> 12 & 0x3F));
    append(0x80 | (code_point >> 6 & 0x3F));
    append(0x80 | (code_point & 0x3F));
  }
}

}  // namespace trireme
