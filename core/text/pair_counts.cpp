#include "core/text/pair_counts.h"

#include <algorithm>

namespace trireme {

void PairCounts::add_word(const std::vector<int32_t>& ids, int64_t count) {
  const auto word = static_cast<uint32_t>(words_.size());
  words_.push_back({ids_.size(), ids.size(), count});
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  for (size_t i = 0; i + 1 < ids.size(); ++i) change({ids[i], ids[i + 1]}, count, word);
}

void PairCounts::change(TokenPair pair, int64_t delta, uint32_t word) {
  Entry& entry = pairs_[key_of(pair)];
  entry.count += delta;
  if (delta < 0) return;
  if (entry.words.empty() || entry.words.back() != word) entry.words.push_back(word);
  grown_.push_back(pair);
}

std::optional<TokenPair> PairCounts::most_frequent(int64_t min_frequency) {
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  for (const TokenPair& pair : grown_) queue_.push({pairs_[key_of(pair)].count, pair});
  grown_.clear();
  // Counts that went down since are put back where they belong; those that went up were queued again.
  while (!queue_.empty()) {
    const Candidate best = queue_.top();
    const int64_t count = pairs_[key_of(best.pair)].count;
    if (best.count == count) return count >= min_frequency ? std::optional(best.pair) : std::nullopt;
    queue_.pop();
    if (best.count > count && count >= min_frequency) queue_.push({count, best.pair});
  }
  return std::nullopt;
}

void PairCounts::merge(TokenPair pair, int32_t result) {
  const std::vector<uint32_t> words = std::move(pairs_[key_of(pair)].words);
  pairs_[key_of(pair)].words.clear();
  for (const uint32_t word : words) merge_in_word(pair, result, word);
}

void PairCounts::merge_in_word(TokenPair pair, int32_t result, uint32_t index) {
  Word& word = words_[index];
  int32_t* ids = ids_.data() + word.begin;
  size_t out = 0;
  for (size_t in = 0; in < word.length; ++out) {
    if (in + 1 >= word.length || TokenPair(ids[in], ids[in + 1]) != pair) {
      ids[out] = ids[in++];
      continue;
    }
    change(pair, -word.count, index);
    if (out > 0) {
      change({ids[out - 1], pair.first}, -word.count, index);
      change({ids[out - 1], result}, word.count, index);
    }
    if (in + 2 < word.length) {
      change({pair.second, ids[in + 2]}, -word.count, index);
      change({result, ids[in + 2]}, word.count, index);
    }
    ids[out] = result;
    in += 2;
  }
  word.length = out;
}

}  // namespace trireme
