#include "core/text/bpe_trainer.h"

#include <fmt/format.h>
#include <algorithm>
#include <cstdint>

#include <array>
#include <unordered_map>
#include <unordered_set>

#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/parallel_tasks.h"
#include "core/text/byte_symbols.h"
#include "core/text/pair_counts.h"

namespace trireme {
namespace {

constexpr size_t kStretch = 1 << 18;
/// Longer words are counted in pieces: each merge walks through the words that hold the pair, so that one
/// word of many megabytes would make training take hours.
constexpr size_t kLongestWord = 4096;

struct WordHash {
  using is_transparent = void;
  size_t operator()(std::string_view word) const { return xxh3_64(word); }
};
using WordCounts = std::unordered_map<std::string, int64_t, WordHash, std::equal_to<>>;

}  // namespace

struct BpeTrainer::Counts {
  explicit Counts(const WordSplitter& splitter) : scratch(splitter) {}
  WordSplitter::Scratch scratch;
  std::vector<std::string_view> words;
  WordCounts counts;

  void count(std::string_view word) {
    const auto found = counts.find(word);
    if (found != counts.end())
      ++found->second;
    else
      counts.emplace(word, 1);
  }
};

BpeTrainer::BpeTrainer(BpeTrainingOptions options) : options_(std::move(options)) {
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
  for (int i = 0; i < std::max(1, options_.num_threads); ++i)
    counts_.push_back(std::make_unique<Counts>(splitter_));
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::span<const std::string_view> texts) {
  std::vector<std::string_view> stretches;
  for (const std::string_view text : texts)
    for (const std::string_view stretch : cut_between_words(text, kStretch)) stretches.push_back(stretch);
  run_tasks(static_cast<int64_t>(stretches.size()), static_cast<int>(counts_.size()),
            [&](int64_t task, int thread) {
              Counts& mine = *counts_[thread];
              mine.words.clear();
              splitter_.split(stretches[task], mine.scratch, mine.words);
              for (std::string_view word : mine.words) {
                for (; word.size() > kLongestWord; word.remove_prefix(kLongestWord))
                  mine.count(word.substr(0, kLongestWord));
                mine.count(word);
              }
            });
}

BpeVocabulary BpeTrainer::train() const {
  std::unordered_map<std::string_view, int64_t> totals;
  for (const auto& counts : counts_)
    for (const auto& [word, count] : counts->counts) totals[word] += count;
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
