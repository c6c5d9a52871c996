#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <unordered_map>
#include <utility>
#include <vector>

#include "core/text/bpe_merges.h"

namespace trireme {

/// Words as token ids with the number of times each was seen, and for every pair of neighbours its count and
/// the words that hold it; both are kept up to date as pairs are merged.
class PairCounts {
 public:
  void add_word(const std::vector<int32_t>& ids, int64_t count);
  /// The most frequent pair, the lowest ids among equals; nothing when none is seen `min_frequency` times.
  std::optional<TokenPair> most_frequent(int64_t min_frequency);
  void merge(TokenPair pair, int32_t result);

 private:
  struct Word {
    size_t begin;  ///< in ids_
    size_t length;
    int64_t count;
  };
  struct Entry {
    int64_t count = 0;
    std::vector<uint32_t> words;  ///< may name a word twice, or one that lost the pair
  };
  struct Candidate {
    int64_t count;
    TokenPair pair;
    /// std::priority_queue puts the largest first.
    bool operator<(const Candidate& other) const {
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };
  struct Hash {
    size_t operator()(uint64_t key) const { return (key ^ key >> 29) * 0x9E3779B97F4A7C15u; }
  };
  void change(TokenPair pair, int64_t delta, uint32_t word);
  void merge_in_word(TokenPair pair, int32_t result, uint32_t word);

  std::vector<int32_t> ids_;
  std::vector<Word> words_;
  std::unordered_map<uint64_t, Entry, Hash> pairs_;
  std::vector<TokenPair> grown_;  ///< pairs whose count went up since they were queued
  std::priority_queue<Candidate> queue_;
};

}  // namespace trireme
