#include "core/data/permutation.h"

#include <fmt/format.h>

#include <bit>

#include "core/base/check.h"

namespace trireme {

Permutation::Permutation(int64_t size, RandomKey key)
    : size_(static_cast<uint64_t>(size)),
      key_(key),
      half_bits_((static_cast<int>(std::bit_width(size_ - 1)) + 1) / 2) {
  TRIREME_ASSERT(size >= 1, fmt::format("a permutation of {} elements", size));
}

int64_t Permutation::operator()(int64_t index) const {
  TRIREME_ASSERT(index >= 0 && index < size(), fmt::format("element {} of {}", index, size_));
  constexpr uint32_t kRounds = 6;
  const uint64_t mask = (uint64_t{1} << half_bits_) - 1;
  auto value = static_cast<uint64_t>(index);
  do {
    uint64_t left = value >> half_bits_, right = value & mask;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = philox(key_, {static_cast<uint32_t>(right), round, 0, 0})[0] & mask;
      const uint64_t next = left ^ mixed;
      left = right;
      right = next;
    }
    value = left << half_bits_ | right;
  } while (value >= size_);
  return static_cast<int64_t>(value);
}

}  // namespace trireme
