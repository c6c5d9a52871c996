#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

/// The samples of one optimizer step and how they are divided. A step consumes the global sample numbers
/// [consumed, consumed + global), cut into micro-batches that are dealt to the data ranks in turn: the i-th
/// of all ranks together are neighbours. So every division of a step, over ranks and micro-batches, sees the
/// same samples, and what is summed over the data ranks inside a model (BatchNorm) depends on
/// micro_batch_size * data_ranks alone.
struct StepSamples {
  int64_t global_batch_size = 1;
  int64_t micro_batch_size = 1;
  int data_ranks = 1;

  /// Throws ConfigError with the arithmetic when it does not divide.
  int64_t num_micro_batches() const;
  /// Sample numbers of micro-batch `index` of `data_rank`.
  std::vector<int64_t> micro_batch(int64_t consumed_samples, int data_rank, int64_t index) const;
};

}  // namespace trireme
