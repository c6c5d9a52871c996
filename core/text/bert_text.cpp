#include "core/text/bert_text.h"

#include "core/text/unicode.h"

namespace trireme {
namespace {

/// The blocks of Chinese characters that tokenization.py lists: not Hiragana, Katakana or Hangul.
bool is_cjk(char32_t c) {
  return c >= 0x3400 &&
         (c <= 0x4DBF || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
          (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2CEAF) || (c >= 0x2F800 && c <= 0x2FA1F));
}

std::string clean_and_space(std::string_view text, const BertTextOptions& options) {
  std::string result;
  result.reserve(text.size());
  for_each_code_point(text, [&](char32_t c) {
    if (options.clean_text) {
      if (c == 0 || c == 0xFFFD || is_control(c)) return;
      if (is_white_space(c)) c = ' ';
    }
    const bool spaced = options.space_cjk && is_cjk(c);
    if (spaced) result += ' ';
    append_utf8(result, c);
    if (spaced) result += ' ';
  });
  return result;
}

bool is_ascii(std::string_view text) {
  for (const char byte : text)
    if (static_cast<unsigned char>(byte) >= 0x80) return false;
  return true;
}

}  // namespace

std::string normalize_bert_text(std::string_view text, const BertTextOptions& options) {
  std::string cleaned = clean_and_space(text, options);
  if (!options.strip_accents && !options.lower_case) return cleaned;
  if (options.strip_accents && !is_ascii(cleaned)) cleaned = to_nfd(cleaned);
  std::string result;
  result.reserve(cleaned.size());
  for_each_code_point(cleaned, [&](char32_t c) {
    if (options.strip_accents && is_nonspacing_mark(c)) return;
    if (options.lower_case)
      append_lower_case(result, c);
    else
      append_utf8(result, c);
  });
  return result;
}

std::vector<std::string_view> split_bert_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t word_begin = 0;
  const auto end_word = [&](size_t end) {
    if (end > word_begin) words.push_back(text.substr(word_begin, end - word_begin));
  };
  for (size_t position = 0; position < text.size();) {
    const size_t begin = position;
    const char32_t c = *next_code_point(text, position);
    if (!is_white_space(c) && !is_punctuation(c)) continue;
    end_word(begin);
    if (!is_white_space(c)) words.push_back(text.substr(begin, position - begin));
    word_begin = position;
  }
  end_word(text.size());
  return words;
}

}  // namespace trireme
