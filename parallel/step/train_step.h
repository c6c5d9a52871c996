#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/optim/loss_scaler.h"
#include "core/optim/optimizer.h"
#include "parallel/data_parallel/gradient_buckets.h"
#include "parallel/mesh/mesh.h"
#include "parallel/pipeline/engine.h"

namespace trireme {

struct StepOptions {
  double clip_grad = 1.0;  ///< largest global gradient norm; 0: no clipping
  uint64_t seed = 0;       ///< of dropout
  RecomputeOptions recompute;
  /// Steps in a row whose loss or gradients may be not finite, and so are skipped, before the run stops. A
  /// dynamic loss scale (fp16) may skip more: until it has fallen to its least.
  int64_t max_skipped_steps = 0;
  int64_t replica_check_interval = 0;  ///< steps; 0: before the first one only
};

struct StepResult {
  double loss = 0;                 ///< sum of the terms' means over the global batch, nats
  double grad_norm = 0;            ///< before clipping, unscaled
  double loss_scale = 1;           ///< of this step
  bool skipped = false;            ///< nothing was updated: the loss or a gradient was not finite
  int64_t num_skipped = 0;         ///< steps of the run so far
  PerTerm<double> losses{};        ///< the means that it adds
  PerTerm<int64_t> num_targets{};  ///< of the global batch: Batch::counts()
  int64_t num_tokens = 0;          ///< of the global batch
  bool stop_requested = false;     ///< a rank had a signal pending
};

/// One optimizer step over all ranks. Each term of the loss is a sum divided once, by what counts of it in
/// the whole global batch; gradients are summed over micro-batches and ranks, never averaged again. So any
/// division of the global batch gives the gradients of one rank. Phase times go to context.trace: phase/data,
/// phase/forward_backward, phase/reduction (what backward did not hide) and phase/optimizer.
class TrainStep {
 public:
  using NextBatch = std::function<Batch()>;

  /// Everything must outlive the step.
  TrainStep(Context& context, Mesh& mesh, PipelineEngine& engine, ParameterStore& store, Optimizer& optimizer,
            GradientBuckets& buckets, const PrecisionConfig& precision, const StepOptions& options);
  ~TrainStep();
  TrainStep(const TrainStep&) = delete;
  TrainStep& operator=(const TrainStep&) = delete;

  /// `step` counts from 1, skipped ones included; `next` is called once for every micro-batch of the engine's
  /// schedule, at the start: ranks that differ in their data coordinate only get different ones. Before the
  /// first step, and every replica_check_interval steps, the replicas are compared bit by bit. Throws Error
  /// with exit code 77 when more steps were not finite than the options allow, naming parameter, rank and
  /// micro-batch; that step has updated nothing.
  StepResult run(int64_t step, const NextBatch& next, double lr, bool signal_pending);

  /// Loss scale and skipped steps: to be saved with the run, for the optimizer counts applied steps only.
  const LossScaler& scaler() const { return scaler_; }
  void restore(LossScaler scaler) { scaler_ = std::move(scaler); }

 private:
  void check_replicas_if_due(int64_t step);
  /// What forward passes move: kept when a step begins, put back where it is not to count.
  void keep_buffers();
  void put_back_buffers();
  std::vector<Batch> fetch(const NextBatch& next, StepResult& result);
  std::vector<ForwardPass> make_passes(int64_t step, const std::vector<Batch>& batches,
                                       const StepResult& result) const;
  /// Sums loss, squared norm and signals over all ranks.
  void agree(const PerTerm<LossSum>& share, bool signal_pending, StepResult& result);
  bool may_skip() const;
  std::string first_bad_gradient() const;
  [[noreturn]] void explain_divergence(int64_t step, const std::vector<Batch>& batches,
                                       const StepResult& result);

  Context& context_;
  Mesh& mesh_;
  PipelineEngine& engine_;
  ParameterStore& store_;
  Optimizer& optimizer_;
  GradientBuckets& buckets_;
  PrecisionConfig precision_;
  StepOptions options_;
  LossScaler scaler_;
  Tensor kept_buffers_;  ///< undefined where there are none
  bool replicas_checked_ = false;
};

}  // namespace trireme
