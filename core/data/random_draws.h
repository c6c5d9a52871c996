#pragma once

#include <array>

#include "core/base/philox.h"

namespace trireme {

/// The draws of one thing that happens by chance, one after the other: draw n of `what` under `key` is
/// always the same, and no two things share draws.
class RandomDraws {
 public:
  RandomDraws(RandomKey key, int64_t what) : key_(key), what_(static_cast<uint64_t>(what)) {}

  uint32_t next() {
    if (num_ % 4 == 0)
      words_ = philox(key_, {num_ / 4, static_cast<uint32_t>(what_), static_cast<uint32_t>(what_ >> 32), 0});
    return words_[num_++ % 4];
  }
  /// True with this probability, which is in [0, 1].
  bool chance(double probability) { return static_cast<double>(next()) < probability * 4294967296.0; }
  /// Uniform in [0, size), size in [1, 2^31).
  int64_t below(int64_t size) {
    return static_cast<int64_t>(uint64_t{next()} * static_cast<uint64_t>(size) >> 32);
  }

 private:
  RandomKey key_;
  uint64_t what_;
  uint32_t num_ = 0;
  std::array<uint32_t, 4> words_{};
};

}  // namespace trireme
