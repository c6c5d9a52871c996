#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace trireme {

/// Two neighbouring token ids that become one.
using TokenPair = std::pair<int32_t, int32_t>;

inline uint64_t key_of(TokenPair pair) {
  return uint64_t{static_cast<uint32_t>(pair.first)} << 32 | static_cast<uint32_t>(pair.second);
}

/// The merges of a byte-pair encoding (Sennrich, Haddow and Birch 2016) by rank: the pair learned first has
/// the lowest. An open-addressed table, as the lookup decides the speed of encoding.
class BpeMerges {
 public:
  struct Merge {
    int32_t rank;
    int32_t result;  ///< the id that replaces the pair
  };

  /// Pairs in the order of their rank, each with its result; no pair twice.
  explicit BpeMerges(const std::vector<std::pair<TokenPair, int32_t>>& merges);

  const Merge* find(TokenPair pair) const {
    const uint64_t key = key_of(pair);
    for (size_t slot = slot_of(key);; slot = (slot + 1) & mask_) {
      if (keys_[slot] == key) return &values_[slot];
      if (keys_[slot] == kEmpty) return nullptr;
    }
  }

  /// Replaces pairs in `ids` (one word), lowest rank first and leftmost first among equals, until none is
  /// left. `scratch` keeps memory between calls.
  struct Scratch {
    std::vector<int32_t> previous, next;
    std::vector<std::pair<int32_t, int32_t>> queue;  ///< (rank, position), a heap
  };
  void apply(std::vector<int32_t>& ids, Scratch& scratch) const;

 private:
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u >> 32) & mask_; }

  size_t mask_;
  std::vector<uint64_t> keys_;
  std::vector<Merge> values_;
};

}  // namespace trireme
