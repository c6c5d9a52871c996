#include "core/text/bpe_trainer.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdint>

#include <array>
#include <unordered_map>
#include <unordered_set>

#include "core/base/error.h"
#include "core/text/byte_symbols.h"
#include "core/text/pair_counts.h"

namespace trireme {
namespace {

/// Longer words are counted in pieces: each merge walks through the words that hold the pair, so that one
/// word of many megabytes would make training take hours.
constexpr size_t kLongestWord = 4096;

}  // namespace

struct BpeTrainer::Scratch {
  explicit Scratch(const WordSplitter& splitter) : split(splitter) {}
  WordSplitter::Scratch split;
  std::vector<std::string_view> words;
};

BpeTrainer::BpeTrainer(BpeTrainingOptions options)
    : options_(std::move(options)), counts_(options_.num_threads) {
  const auto smallest = static_cast<int64_t>(256 + options_.special_tokens.size());
  if (options_.vocab_size < smallest || options_.vocab_size > INT32_MAX)
    throw ConfigError(
        fmt::format("a byte-level BPE vocabulary of {} tokens is not possible; expected at least {} "
                    "(256 bytes and {} special tokens)",
                    options_.vocab_size, smallest, options_.special_tokens.size()));
  for (size_t i = 0; i < options_.special_tokens.size(); ++i)
    for (size_t j = 0; j <= i; ++j)
      if (options_.special_tokens[i].empty() ||
          (j < i && options_.special_tokens[i] == options_.special_tokens[j]))
        throw ConfigError(
            fmt::format("special token '{}' is empty or given twice", options_.special_tokens[i]));
  for (int i = 0; i < counts_.num_threads(); ++i) scratch_.push_back(std::make_unique<Scratch>(splitter_));
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::span<const std::string_view> texts) {
  counts_.add(texts, [&](std::string_view stretch, int thread, auto&& count) {
    Scratch& mine = *scratch_[thread];
    mine.words.clear();
    splitter_.split(stretch, mine.split, mine.words);
    for (std::string_view word : mine.words) {
      for (; word.size() > kLongestWord; word.remove_prefix(kLongestWord))
        count(word.substr(0, kLongestWord));
      count(word);
    }
  });
}

BpeVocabulary BpeTrainer::train() const {
  const auto totals = counts_.totals();
  if (totals.empty()) throw DataError("there is no text to train a tokenizer on");

  BpeVocabulary vocabulary;
  std::array<int32_t, 256> byte_ids{};
  for (const std::string& special : options_.special_tokens) {
    vocabulary.special_ids.push_back(static_cast<int32_t>(vocabulary.tokens.size()));
    vocabulary.tokens.push_back(special);
  }
  std::unordered_map<std::string, int32_t> ids;
  const ByteSymbols byte_symbols;
  for (const uint8_t byte : byte_symbols.bytes_in_order()) {
    byte_ids[byte] = static_cast<int32_t>(vocabulary.tokens.size());
    vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
    ids.emplace(vocabulary.tokens.back(), byte_ids[byte]);
  }

  PairCounts pairs;
  std::vector<int32_t> word_ids;
  for (const auto& [word, count] : totals) {
    word_ids.clear();
    for (const char byte : word) word_ids.push_back(byte_ids[static_cast<unsigned char>(byte)]);
    pairs.add_word(word_ids, count);
  }

  std::unordered_set<uint64_t> merged;
  while (static_cast<int64_t>(vocabulary.tokens.size()) < options_.vocab_size) {
    const auto pair = pairs.most_frequent(std::max<int64_t>(1, options_.min_frequency));
    if (!pair) break;
    // Two different pairs can spell the same token; it keeps its first id.
    const std::string token = vocabulary.tokens[pair->first] + vocabulary.tokens[pair->second];
    const auto [entry, added] = ids.emplace(token, static_cast<int32_t>(vocabulary.tokens.size()));
    if (added) vocabulary.tokens.push_back(token);
    if (merged.insert(key_of(*pair)).second) vocabulary.merges.push_back(*pair);
    pairs.merge(*pair, entry->second);
  }
  return vocabulary;
}

}  // namespace trireme
