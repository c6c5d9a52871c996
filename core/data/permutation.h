#pragma once

#include <cstdint>

#include "core/base/philox.h"

namespace trireme {

/// A random order of [0, size) in O(1) memory and time per element: a Feistel network (Luby and Rackoff 1988)
/// over the smallest even number of bits that holds `size`, with Philox as its round function; values that
/// fall outside walk on until they are inside (Black and Rogaway, "Ciphers with arbitrary finite domains",
/// 2002), fewer than 4 steps on average. A pure function of the key.
class Permutation {
 public:
  /// `size` >= 1.
  Permutation(int64_t size, RandomKey key);
  int64_t size() const { return static_cast<int64_t>(size_); }
  /// Where element `index` of [0, size) goes.
  int64_t operator()(int64_t index) const;

 private:
  uint64_t size_;
  RandomKey key_;
  int half_bits_;
};

}  // namespace trireme
