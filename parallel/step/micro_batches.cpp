#include "parallel/step/micro_batches.h"

#include <fmt/format.h>

#include <numeric>

#include "core/base/error.h"

namespace trireme {

int64_t StepSamples::num_micro_batches() const {
  const int64_t round = micro_batch_size * data_ranks;
  if (micro_batch_size < 1 || global_batch_size < 1 || global_batch_size % round != 0) {
    const int64_t below = round > 0 ? global_batch_size / round * round : 0;
    throw ConfigError(fmt::format(
        "training.global_batch_size {} is not a multiple of micro_batch_size {} x {} data-parallel ranks = "
        "{}; the nearest that work: {}{}",
        global_batch_size, micro_batch_size, data_ranks, round,
        below > 0 ? fmt::format("{} and ", below) : "", below + round));
  }
  return global_batch_size / round;
}

std::vector<int64_t> StepSamples::micro_batch(int64_t consumed_samples, int data_rank, int64_t index) const {
  std::vector<int64_t> samples(static_cast<size_t>(micro_batch_size));
  std::iota(samples.begin(), samples.end(),
            consumed_samples + (index * data_ranks + data_rank) * micro_batch_size);
  return samples;
}

}  // namespace trireme
