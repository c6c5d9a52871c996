#include "core/text/wordpiece_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "core/base/error.h"
#include "core/text/pair_counts.h"
#include "core/text/unicode.h"

namespace trireme {
namespace {

constexpr size_t kAlphabetLimit = 1000;

struct CountedWord {
  std::vector<char32_t> characters;
  int64_t count;
};

/// The words that are made of the most frequent characters, and these.
struct Alphabet {
  std::vector<CountedWord> words;
  std::set<char32_t> anywhere;
  std::set<char32_t> inside;  ///< not at the beginning of a word
};

std::set<char32_t> most_frequent(const std::vector<CountedWord>& words) {
  std::map<char32_t, int64_t> counts;
  for (const auto& [characters, count] : words)
    for (const char32_t c : characters) counts[c] += count;
  std::vector<std::pair<int64_t, char32_t>> order;
  for (const auto& [c, count] : counts) order.emplace_back(-count, c);
  std::sort(order.begin(), order.end());
  order.resize(std::min(order.size(), kAlphabetLimit));
  std::set<char32_t> kept;
  for (const auto& [count, c] : order) kept.insert(c);
  return kept;
}

Alphabet make_alphabet(const std::unordered_map<std::string_view, int64_t>& totals) {
  std::vector<CountedWord> words;
  for (const auto& [word, count] : totals) {
    words.push_back({{}, count});
    for_each_code_point(word, [&](char32_t c) { words.back().characters.push_back(c); });
  }
  Alphabet result;
  result.anywhere = most_frequent(words);
  for (CountedWord& word : words) {
    const auto& characters = word.characters;
    if (!std::all_of(characters.begin(), characters.end(),
                     [&](char32_t c) { return result.anywhere.contains(c); }))
      continue;
    result.inside.insert(characters.begin() + 1, characters.end());
    result.words.push_back(std::move(word));
  }
  return result;
}

/// The tokens made so far, each once.
class TokenList {
 public:
  int32_t add(const std::string& token) {
    const auto [entry, added] = ids_.emplace(token, static_cast<int32_t>(tokens.size()));
    if (added) tokens.push_back(token);
    return entry->second;
  }
  std::vector<std::string> tokens;

 private:
  std::unordered_map<std::string, int32_t> ids_;
};

std::string utf8(char32_t c) {
  std::string text;
  append_utf8(text, c);
  return text;
}

}  // namespace

WordPieceTrainer::WordPieceTrainer(WordPieceTrainingOptions options)
    : options_(options), counts_(options.num_threads) {}

void WordPieceTrainer::add(std::span<const std::string_view> texts) {
  counts_.add(texts, [&](std::string_view stretch, int, auto&& count) {
    const std::string normalized = normalize_bert_text(stretch, options_.text);
    for (const std::string_view word : split_bert_words(normalized))
      if (count_code_points(word) <= options_.max_word_length) count(word);
  });
}

WordPieceVocabulary WordPieceTrainer::train() const {
  const Alphabet alphabet = make_alphabet(counts_.totals());
  if (alphabet.words.empty()) throw DataError("there is no text to train a tokenizer on");
  TokenList list;
  for (const char* special : kWordPieceSpecials) list.add(special);
  std::unordered_map<char32_t, int32_t> begin_ids, inside_ids;
  for (const char32_t c : alphabet.anywhere) begin_ids[c] = list.add(utf8(c));
  for (const char32_t c : alphabet.inside) inside_ids[c] = list.add(kWordPieceContinuation + utf8(c));
  if (static_cast<int64_t>(list.tokens.size()) > options_.vocab_size || options_.vocab_size > INT32_MAX)
    throw ConfigError(
        fmt::format("a WordPiece vocabulary of {} tokens is not possible: this text has {} characters at "
                    "the beginning of words and inside, and there are 5 special tokens",
                    options_.vocab_size, list.tokens.size() - 5));

  PairCounts pairs;
  std::vector<int32_t> ids;
  for (const auto& [characters, count] : alphabet.words) {
    ids.clear();
    for (size_t i = 0; i < characters.size(); ++i)
      ids.push_back((i == 0 ? begin_ids : inside_ids).at(characters[i]));
    pairs.add_word(ids, count);
  }
  while (static_cast<int64_t>(list.tokens.size()) < options_.vocab_size) {
    const auto pair = pairs.most_frequent(std::max<int64_t>(1, options_.min_frequency));
    if (!pair) break;
    pairs.merge(*pair, list.add(list.tokens[pair->first] + list.tokens[pair->second].substr(2)));
  }
  return {std::move(list.tokens), options_.text, options_.max_word_length};
}

}  // namespace trireme
