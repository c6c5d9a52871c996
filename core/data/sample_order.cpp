#include "core/data/sample_order.h"

#include <fmt/format.h>

#include <numeric>

#include "core/base/check.h"
#include "core/data/permutation.h"

namespace trireme {

SampleOrder::SampleOrder(std::vector<int64_t> counts)
    : counts_(std::move(counts)), num_samples_(std::accumulate(counts_.begin(), counts_.end(), int64_t{0})) {}

SampleOrder::SampleOrder(std::vector<int64_t> counts, Blend blend, uint64_t seed)
    : SampleOrder(std::move(counts)) {
  blend_ = std::move(blend);
  seed_ = seed;
}

SampleOrder::Place SampleOrder::place_of(int64_t sample) const {
  TRIREME_ASSERT(sample >= 0, fmt::format("sample {}", sample));
  if (blend_) {
    const auto [file, index] = blend_->place_of(sample);
    const int64_t count = counts_[file];
    const auto key = RandomKey::make(seed_, RandomPurpose::kDataOrder, static_cast<uint64_t>(index / count),
                                     static_cast<uint64_t>(file));
    return {file, Permutation(count, key)(index % count)};
  }
  TRIREME_ASSERT(sample < num_samples_, fmt::format("sample {} of {}", sample, num_samples_));
  int64_t file = 0;
  while (sample >= counts_[file]) sample -= counts_[file++];
  return {file, sample};
}

}  // namespace trireme
