#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/models/model.h"
#include "core/optim/optimizer.h"
#include "parallel/data_parallel/gradient_buckets.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

struct StepOptions {
  double clip_grad = 1.0;  ///< largest global gradient norm; 0: no clipping
  uint64_t seed = 0;       ///< of dropout
  RecomputeOptions recompute;
};

struct StepResult {
  double loss = 0;              ///< mean over the targets of the global batch, nats
  double grad_norm = 0;         ///< before clipping
  int64_t num_targets = 0;      ///< of the global batch
  int64_t num_tokens = 0;       ///< of the global batch
  bool stop_requested = false;  ///< a rank had a signal pending
};

/// One optimizer step over all ranks. The loss is the sum of token losses divided once, by the targets of the
/// whole global batch; gradients are summed over micro-batches and ranks, never averaged again. So any
/// division of the global batch gives the gradients of one rank. Phase times go to context.trace: phase/data,
/// phase/forward_backward, phase/reduction (what backward did not hide) and phase/optimizer.
class TrainStep {
 public:
  using NextBatch = std::function<Batch()>;

  /// Everything must outlive the step. Collective: compares the ranks' parameters once, bit by bit.
  TrainStep(Context& context, Mesh& mesh, Model& model, ParameterStore& store, Optimizer& optimizer,
            GradientBuckets& buckets, const StepOptions& options);
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  /// `step` counts from 1; `next` is called num_micro_batches times, at the start. Throws Error with exit
  /// code 77 before anything is updated when the loss or a gradient is not finite, naming parameter, rank and
  /// micro-batch.
  StepResult run(int64_t step, int64_t num_micro_batches, const NextBatch& next, double lr,
                 bool signal_pending);

 private:
  double forward_backward(int64_t step, const std::vector<Batch>& batches, int64_t num_targets, bool reduce);
  [[noreturn]] void explain_divergence(int64_t step, const std::vector<Batch>& batches, int64_t num_targets,
                                       double loss, double grad_norm);

  Context& context_;
  Mesh& mesh_;
  Model& model_;
  ParameterStore& store_;
  Optimizer& optimizer_;
  GradientBuckets& buckets_;
  StepOptions options_;
};

}  // namespace trireme
