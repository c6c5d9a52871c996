#include "core/text/sentence_words.h"

#include <algorithm>
#include <array>

#include "core/text/bert_text.h"
#include "core/text/unicode.h"

namespace trireme {
namespace {

constexpr std::string_view kTypographicApostrophe = "\xE2\x80\x99";

bool is_apostrophe(char32_t c) {
  return c == '\'' || c == 0x2019;
}
bool is_word_character(char32_t c) {
  return is_letter(c) || is_number(c) || is_mark(c);
}

/// The length of the apostrophe at the beginning of `text`, 0 where there is none.
size_t apostrophe_length(std::string_view text) {
  if (text.starts_with('\'')) return 1;
  return text.starts_with(kTypographicApostrophe) ? kTypographicApostrophe.size() : 0;
}

bool equals_ignoring_case(std::string_view text, std::string_view lower) {
  return text.size() == lower.size() &&
         std::equal(text.begin(), text.end(), lower.begin(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

/// 's and the others, as a whole.
bool is_apostrophe_ending(std::string_view text) {
  constexpr std::array<std::string_view, 6> kEndings = {"s", "re", "ve", "ll", "d", "m"};
  const size_t length = apostrophe_length(text);
  return length > 0 && std::any_of(kEndings.begin(), kEndings.end(), [&](std::string_view ending) {
           return equals_ignoring_case(text.substr(length), ending);
         });
}

/// n't as a whole.
bool is_negation(std::string_view text) {
  if (text.size() < 3 || !equals_ignoring_case(text.substr(0, 1), "n")) return false;
  const size_t length = apostrophe_length(text.substr(1));
  return length > 0 && equals_ignoring_case(text.substr(1 + length), "t");
}

/// The length of the English ending of a word; 0 where it has none, or is one.
size_t ending_length(std::string_view word) {
  if (is_negation(word)) return 0;
  for (size_t begin = 1; begin < word.size(); ++begin)
    if (const std::string_view end = word.substr(begin); is_apostrophe_ending(end) || is_negation(end))
      return end.size();
  return 0;
}

/// Appends a word and, as tokens of their own, its English endings (couldn't've has two).
void add_with_endings(std::string_view word, std::vector<std::string>& words) {
  constexpr size_t kLongestWithEndings = 64;
  std::vector<std::string_view> endings;
  while (word.size() <= kLongestWithEndings) {
    const size_t length = ending_length(word);
    if (length == 0) break;
    endings.push_back(word.substr(word.size() - length));
    word.remove_suffix(length);
  }
  words.emplace_back(word);
  words.insert(words.end(), endings.rbegin(), endings.rend());
}

/// Cuts one stretch without white space.
class ChunkSplitter {
 public:
  ChunkSplitter(std::string_view chunk, std::vector<std::string>& words) : chunk_(chunk), words_(words) {}

  void split() {
    while (position_ < chunk_.size()) {
      const size_t begin = position_;
      const char32_t c = *next_code_point(chunk_, position_);
      if (is_word_character(c))
        add_word(begin);
      else if (c == '-')
        add_hyphens(begin);
      else if (c == '.')
        add_run(begin, '.');
      else if (is_apostrophe(c))
        add_apostrophe(begin);
      else
        add_symbol(begin);
    }
  }

 private:
  char32_t peek(size_t position) const {
    return position < chunk_.size() ? *next_code_point(chunk_, position) : U' ';
  }
  void emit(size_t begin) { words_.emplace_back(chunk_.substr(begin, position_ - begin)); }

  /// Moves behind the last character that belongs to the word which `before` began.
  void skip_word(char32_t before) {
    while (position_ < chunk_.size()) {
      size_t behind = position_;
      const char32_t c = *next_code_point(chunk_, behind);
      const char32_t after = peek(behind);
      const bool joins = (is_apostrophe(c) && is_word_character(after)) ||
                         ((c == '.' || c == ',' || c == ':') && is_digit(before) && is_digit(after));
      if (!is_word_character(c) && !joins) return;
      position_ = behind;
      before = c;
    }
  }

  void add_word(size_t begin) {
    skip_word(peek(begin));
    add_with_endings(chunk_.substr(begin, position_ - begin), words_);
  }

  void add_hyphens(size_t begin) {
    while (peek(position_) == '-') ++position_;
    std::string token = begin > 0 ? "@" : "";
    token += chunk_.substr(begin, position_ - begin);
    if (position_ < chunk_.size()) token += '@';
    words_.push_back(std::move(token));
  }

  void add_run(size_t begin, char32_t c) {
    while (peek(position_) == c) ++position_;
    emit(begin);
  }

  void add_apostrophe(size_t begin) {
    const size_t behind = position_;
    if (is_word_character(peek(position_))) {
      skip_word(U' ');
      if (is_apostrophe_ending(chunk_.substr(begin, position_ - begin))) return emit(begin);
      position_ = behind;
    }
    emit(begin);
    if (begin == 0 && is_word_character(peek(position_))) words_.back() += '@';
  }

  void add_symbol(size_t begin) {
    while (is_mark(peek(position_))) next_code_point(chunk_, position_);
    emit(begin);
  }

  std::string_view chunk_;
  std::vector<std::string>& words_;
  size_t position_ = 0;
};

bool is_one_of(std::string_view word, std::span<const std::string_view> list) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_hyphens(std::string_view word) {
  return word.find('-') != std::string_view::npos && word.find_first_not_of("@-") == std::string_view::npos;
}

/// Whether a word wants a space on one side of it; kApart wins over its neighbour's kJoined.
enum class Side { kOpen, kJoined, kApart };
struct Spacing {
  Side left = Side::kOpen;
  Side right = Side::kOpen;
};

/// The quotes that are open: "..." and the German pair, whose closing mark is an opening one in English.
struct Quotes {
  bool straight = false;
  bool low = false;
};

Spacing spacing_of(std::string_view word, Quotes& quotes) {
  static constexpr std::string_view kClosing[] = {
      ",", ";", ":", "!", "?", "%", ")", "]", "}", "\xE2\x80\xA6", "\xE2\x80\x9D"};
  static constexpr std::string_view kOpening[] = {"(", "[", "{", "$", "#", "\xC2\xA3", "\xE2\x80\x9C"};
  const auto joined_if = [](bool joined, Side otherwise) { return joined ? Side::kJoined : otherwise; };
  const auto quote = [&](bool& open) -> Spacing {
    open = !open;
    return {joined_if(!open, Side::kOpen), joined_if(open, Side::kOpen)};
  };
  if (word == "\"") return quote(quotes.straight);
  if (word == "\xE2\x80\x9E" || (word == "\xE2\x80\x9C" && quotes.low)) return quote(quotes.low);
  if (word == "/") return {Side::kJoined, Side::kJoined};
  if (is_hyphens(word))
    return {joined_if(word.front() == '@', Side::kApart), joined_if(word.back() == '@', Side::kApart)};
  if (const size_t length = apostrophe_length(word); length > 0) {
    if (word.substr(length) == "@") return {Side::kApart, Side::kJoined};
    return {Side::kJoined, Side::kOpen};
  }
  const bool stops = word.find_first_not_of('.') == std::string_view::npos;
  return {joined_if(stops || is_negation(word) || is_one_of(word, kClosing), Side::kOpen),
          joined_if(is_one_of(word, kOpening), Side::kOpen)};
}

/// A word without the marks that say where it joins.
std::string_view bare(std::string_view word) {
  if (is_hyphens(word)) {
    word.remove_prefix(word.find('-'));
    return word.substr(0, word.rfind('-') + 1);
  }
  const size_t length = apostrophe_length(word);
  return length > 0 && word.substr(length) == "@" ? word.substr(0, length) : word;
}

}  // namespace

std::vector<std::string> split_sentence(std::string_view text, bool lower_case) {
  const std::string clean = to_nfc(normalize_bert_text(
      text, {.clean_text = true, .space_cjk = false, .strip_accents = false, .lower_case = lower_case}));
  std::vector<std::string> words;
  for (size_t begin = 0; begin < clean.size();) {
    const size_t end = std::min(clean.find(' ', begin), clean.size());
    ChunkSplitter(std::string_view(clean).substr(begin, end - begin), words).split();
    begin = end + 1;
  }
  return words;
}

std::string join_sentence(std::span<const std::string_view> words) {
  std::string text;
  Quotes quotes;
  Side before = Side::kOpen;
  for (const std::string_view word : words) {
    const Spacing spacing = spacing_of(word, quotes);
    const bool joined = before == Side::kJoined || spacing.left == Side::kJoined;
    // Full stops that were apart must not become one token.
    const bool apart = before == Side::kApart || spacing.left == Side::kApart ||
                       (text.ends_with('.') && word.starts_with('.'));
    if (!text.empty() && (apart || !joined)) text += ' ';
    text += bare(word);
    before = spacing.right;
  }
  return text;
}

}  // namespace trireme
