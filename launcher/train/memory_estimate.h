#pragma once

#include "launcher/config/plan.h"

namespace trireme {

/// Bytes a rank needs, before anything is allocated, by the categories of the memory ledger (master weights
/// belong to the optimizer's). Parameters, gradients and optimizer state are exact on one rank but for
/// padding; in a layout they are those of a rank with an even share of the layers and a vocabulary matrix.
/// Activations count what the layers keep for backward of the most chunks and micro-batches that the schedule
/// has under way on a stage, and one chunk of logits: on one rank within a third of the ledger's. The
/// snapshot is what a rank copies for a checkpoint in the background.
struct MemoryEstimate {
  int64_t weights = 0;
  int64_t gradients = 0;
  int64_t optimizer = 0;
  int64_t activations = 0;
  int64_t snapshot = 0;

  int64_t total() const { return weights + gradients + optimizer + activations + snapshot; }
};

MemoryEstimate estimate_memory(const RunConfig& config, const BatchPlan& batch, int64_t num_parameters);

/// Throws DeviceError where the ranks of a host need more than the host's memory and swap: there the kernel
/// would end them without a word.
void check_memory(const MemoryEstimate& estimate, int64_t ranks_on_host);

}  // namespace trireme
