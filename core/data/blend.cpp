#include "core/data/blend.h"

#include <cmath>
#include <numeric>

#include "core/base/check.h"

namespace trireme {
namespace {

__extension__ using Wide = unsigned __int128;

/// floor(n * part / whole)
int64_t share(int64_t n, int64_t part, int64_t whole) {
  return static_cast<int64_t>(static_cast<Wide>(n) * static_cast<Wide>(part) / static_cast<Wide>(whole));
}

}  // namespace

Blend::Blend(const std::vector<int64_t>& weights) : sums_{0} {
  for (const int64_t weight : weights) {
    TRIREME_ASSERT(weight >= 0 && sums_.back() < (int64_t{1} << 62) - weight, "blend weights out of range");
    sums_.push_back(sums_.back() + weight);
  }
  TRIREME_ASSERT(total_weight() > 0, "a blend of nothing");
}

Blend Blend::from_fractions(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int64_t> integers;
  for (const double weight : weights) integers.push_back(std::llround(std::ldexp(weight / sum, 40)));
  return Blend(integers);
}

Blend::Place Blend::place_of(int64_t sample) const {
  size_t low = 0, high = sums_.size() - 1;
  int64_t index = sample;
  while (high - low > 1) {
    const size_t middle = (low + high) / 2;
    const int64_t part = sums_[middle] - sums_[low], whole = sums_[high] - sums_[low];
    const int64_t before = share(index, part, whole);
    if (share(index + 1, part, whole) > before) {
      high = middle;
      index = before;
    } else {
      low = middle;
      index -= before;
    }
  }
  return {static_cast<int64_t>(low), index};
}

}  // namespace trireme
