#include "parallel/step/train_step.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/optim/clip.h"
#include "parallel/data_parallel/replicas.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {
namespace {

/// Padding included: what is computed.
int64_t num_tokens(const Batch& batch) {
  return batch.tokens.num_elements() +
         (batch.source_tokens.defined() ? batch.source_tokens.num_elements() : 0);
}

}  // namespace

TrainStep::TrainStep(Context& context, Mesh& mesh, PipelineEngine& engine, ParameterStore& store,
                     Optimizer& optimizer, GradientBuckets& buckets, const PrecisionConfig& precision,
                     const StepOptions& options)
    : context_(context),
      mesh_(mesh),
      engine_(engine),
      store_(store),
      optimizer_(optimizer),
      buckets_(buckets),
      precision_(precision),
      options_(options),
      scaler_(precision) {
  context_.progress = [this] { mesh_.world().progress(); };
}

TrainStep::~TrainStep() {
  context_.progress = nullptr;
}

StepResult TrainStep::run(int64_t step, const NextBatch& next, double lr, bool signal_pending) {
  mesh_.set_step(step);
  check_replicas_if_due(step);
  StepResult result;
  result.loss_scale = scaler_.scale();
  const std::vector<Batch> batches = fetch(next, result);
  if (result.num_targets[LossTerm::kTokens] == 0 && result.num_targets[LossTerm::kSamples] == 0)
    throw DataError(fmt::format("step {}: the global batch has no target token that counts", step));

  std::vector<ForwardPass> passes = make_passes(step, batches, result);
  {
    const TraceSpan span(context_.trace, "phase/forward_backward");
    keep_buffers();
    buckets_.begin();
    engine_.run(passes, [this](const std::vector<Parameter*>& chunk) { buckets_.arm(chunk); });
  }
  {
    const TraceSpan span(context_.trace, "phase/reduction");
    buckets_.finish(context_);
    agree(engine_.share_of(passes), signal_pending, result);
  }
  const TraceSpan span(context_.trace, "phase/optimizer");
  // Every rank has the same sums, so all take the same decision.
  const bool may_skip = this->may_skip();
  result.skipped = !scaler_.update(std::isfinite(result.loss) && std::isfinite(result.grad_norm));
  result.num_skipped = scaler_.num_skipped();
  if (result.skipped) {
    put_back_buffers();
    if (!may_skip) explain_divergence(step, batches, result);
    return result;
  }
  optimizer_.step(context_, store_, lr, step - result.num_skipped,
                  clip_factor(result.grad_norm, options_.clip_grad) / result.loss_scale);
  buckets_.gather_values();
  return result;
}

void TrainStep::check_replicas_if_due(int64_t step) {
  const int64_t interval = options_.replica_check_interval;
  if (replicas_checked_ && (interval == 0 || (step - 1) % interval != 0)) return;
  check_replicas(store_, mesh_);
  replicas_checked_ = true;
}

void TrainStep::keep_buffers() {
  const Tensor& values = store_.buffer_values();
  if (!values.defined()) return;
  kept_buffers_ = context_.workspace(values.shape(), values.dtype());
  ops::cast(context_, values, kept_buffers_);
}

void TrainStep::put_back_buffers() {
  if (!kept_buffers_.defined()) return;
  Tensor values = store_.buffer_values();
  ops::cast(context_, kept_buffers_, values);
}

std::vector<Batch> TrainStep::fetch(const NextBatch& next, StepResult& result) {
  const TraceSpan span(context_.trace, "phase/data");
  std::vector<Batch> batches;
  Tensor counts = context_.zeros({1 + kNumLossTerms}, DType::kInt64, MemoryCategory::kWorkspace);
  int64_t* count = counts.data<int64_t>();
  for (int i = 0; i < engine_.schedule().num_micro_batches; ++i) {
    batches.push_back(next());
    count[0] += num_tokens(batches.back());
    for (size_t term = 0; term < kNumLossTerms; ++term) count[1 + term] += batches.back().counts().at(term);
  }
  mesh_.data().all_reduce(counts, ReduceOp::kSum);
  result.num_tokens = count[0];
  for (size_t term = 0; term < kNumLossTerms; ++term) result.num_targets.at(term) = count[1 + term];
  return batches;
}

std::vector<ForwardPass> TrainStep::make_passes(int64_t step, const std::vector<Batch>& batches,
                                                const StepResult& result) const {
  const double num_micro_batches = static_cast<double>(batches.size());
  std::vector<ForwardPass> passes;
  for (const Batch& batch : batches) {
    passes.push_back({.batch = batch, .seed = options_.seed, .step = step, .recompute = options_.recompute});
    for (size_t term = 0; term < kNumLossTerms; ++term) {
      double count = static_cast<double>(std::max<int64_t>(1, result.num_targets.at(term)));
      if (planted(Bug::kLossScaledTwice)) count *= num_micro_batches;
      if (planted(Bug::kMicroBatchAveraging))
        count = static_cast<double>(batch.counts().at(term)) * num_micro_batches *
                mesh_.shape().size(Axis::kData);
      passes.back().loss_scale.at(term) = result.loss_scale / count;
    }
  }
  return passes;
}

void TrainStep::agree(const PerTerm<LossSum>& share, bool signal_pending, StepResult& result) {
  Tensor sums = context_.workspace({2 + kNumLossTerms}, DType::kFloat64);
  double* sum = sums.data<double>();
  sum[0] = buckets_.squared_gradient_norm(context_);
  sum[1] = signal_pending ? 1.0 : 0.0;
  for (size_t term = 0; term < kNumLossTerms; ++term) sum[2 + term] = share.at(term).sum;
  mesh_.world().all_reduce(sums, ReduceOp::kSum);
  result.grad_norm = std::sqrt(sum[0]) / result.loss_scale;
  result.stop_requested = sum[1] > 0;
  for (size_t term = 0; term < kNumLossTerms; ++term) {
    if (result.num_targets.at(term) == 0) continue;
    result.losses.at(term) = sum[2 + term] / static_cast<double>(result.num_targets.at(term));
    result.loss += result.losses.at(term);
  }
}

bool TrainStep::may_skip() const {
  const bool scale_can_fall = precision_.dtype == Precision::kFp16 && precision_.loss_scale == 0 &&
                              scaler_.scale() > precision_.min_loss_scale;
  return scale_can_fall || scaler_.num_skipped_in_row() < options_.max_skipped_steps;
}

std::string TrainStep::first_bad_gradient() const {
  // Backward meets the last parameter of the forward pass first.
  for (const Parameter* parameter : store_.parameters()) {
    const int64_t bad = ops::count_non_finite(context_, parameter->gradient);
    if (bad > 0)
      return fmt::format("first non-finite gradient {} ({} of {} values)", parameter->name, bad,
                         parameter->gradient.num_elements());
  }
  return "";
}

void TrainStep::explain_divergence(int64_t step, const std::vector<Batch>& batches,
                                   const StepResult& result) {
  // The sums hide whose gradient it was. Nothing has been updated yet, so all ranks run their micro-batches
  // again, one by one and without a reduction, and each looks at its own gradients.
  std::vector<ForwardPass> passes = make_passes(step, batches, result);
  std::string mine;
  for (size_t i = 0; i < passes.size(); ++i) {
    store_.begin_accumulation();
    engine_.run_one(passes[i]);
    store_.finish_accumulation(context_);
    std::vector<std::string> bad;
    for (const LossSum& loss : passes[i].losses)
      if (!std::isfinite(loss.sum)) bad.push_back(fmt::format("loss sum {}", loss.sum));
    if (const std::string gradient = first_bad_gradient(); !gradient.empty()) bad.push_back(gradient);
    if (mine.empty() && !bad.empty()) mine = fmt::format("micro-batch {}: {}", i, fmt::join(bad, ", "));
  }
  put_back_buffers();
  std::string found;
  const std::vector<std::string> all = mesh_.world().gather_bytes(mine);
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (!all[rank].empty()) found += fmt::format("\n  rank {}, {}", rank, all[rank]);
  if (found.empty()) found = "\n  every rank's own gradients are finite: their sum overflows";
  const std::string skipped =
      scaler_.num_skipped_in_row() > 1
          ? fmt::format(" after {} skipped steps in a row", scaler_.num_skipped_in_row() - 1)
          : "";
  throw Error(
      ExitCode::kDiverged,
      fmt::format("training diverged at step {}{}: loss {}, gradient norm {}; nothing was updated.{}\n"
                  "Restart from the last checkpoint with a lower lr, more lr_warmup_iters or a "
                  "smaller clip_grad, and look at the data of these samples",
                  step, skipped, result.loss, result.grad_norm, found));
}

}  // namespace trireme
