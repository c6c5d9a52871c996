#include "parallel/step/train_step.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/optim/clip.h"
#include "parallel/data_parallel/replicas.h"

namespace trireme {

TrainStep::TrainStep(Context& context, Mesh& mesh, Model& model, ParameterStore& store, Optimizer& optimizer,
                     GradientBuckets& buckets, const StepOptions& options)
    : context_(context),
      mesh_(mesh),
      model_(model),
      store_(store),
      optimizer_(optimizer),
      buckets_(buckets),
      options_(options) {
  check_replicas(store_, mesh_.data());
  context_.progress = [this] { mesh_.world().progress(); };
}

TrainStep::~TrainStep() {
  context_.progress = nullptr;
}

StepResult TrainStep::run(int64_t step, int64_t num_micro_batches, const NextBatch& next, double lr,
                          bool signal_pending) {
  mesh_.set_step(step);
  StepResult result;
  std::vector<Batch> batches;
  {
    const TraceSpan span(context_.trace, "phase/data");
    for (int64_t i = 0; i < num_micro_batches; ++i) {
      batches.push_back(next());
      result.num_targets += batches.back().num_targets;
      result.num_tokens += batches.back().num_samples() * batches.back().length();
    }
    Tensor counts = context_.workspace({2}, DType::kInt64);
    counts.data<int64_t>()[0] = result.num_targets;
    counts.data<int64_t>()[1] = result.num_tokens;
    mesh_.data().all_reduce(counts, ReduceOp::kSum);
    result.num_targets = counts.data<int64_t>()[0];
    result.num_tokens = counts.data<int64_t>()[1];
  }
  if (result.num_targets == 0)
    throw DataError(fmt::format("step {}: the global batch has no target token that counts", step));

  double loss_sum = 0;
  {
    const TraceSpan span(context_.trace, "phase/forward_backward");
    store_.begin_accumulation();
    loss_sum = forward_backward(step, batches, result.num_targets, true);
  }
  {
    const TraceSpan span(context_.trace, "phase/reduction");
    buckets_.finish(context_);
    Tensor agreed = context_.workspace({2}, DType::kFloat64);
    agreed.data<double>()[0] = loss_sum;
    agreed.data<double>()[1] = signal_pending ? 1.0 : 0.0;
    mesh_.world().all_reduce(agreed, ReduceOp::kSum);
    result.loss = agreed.data<double>()[0] / static_cast<double>(result.num_targets);
    result.stop_requested = agreed.data<double>()[1] > 0;
  }
  const TraceSpan span(context_.trace, "phase/optimizer");
  // The summed gradients are the same bits on every rank, so all ranks take the same decision.
  result.grad_norm = gradient_norm(context_, store_);
  if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm))
    explain_divergence(step, batches, result.num_targets, result.loss, result.grad_norm);
  optimizer_.step(context_, store_, lr, step, clip_factor(result.grad_norm, options_.clip_grad));
  return result;
}

double TrainStep::forward_backward(int64_t step, const std::vector<Batch>& batches, int64_t num_targets,
                                   bool reduce) {
  double loss_sum = 0;
  for (size_t i = 0; i < batches.size(); ++i) {
    if (reduce && i + 1 == batches.size()) buckets_.arm();
    ForwardPass pass{.batch = batches[i],
                     .seed = options_.seed,
                     .step = step,
                     .loss_scale = 1.0 / static_cast<double>(num_targets),
                     .recompute = options_.recompute};
    const Variable loss = model_.loss(context_, pass);
    loss_sum += pass.loss_sum;
    Tensor one = context_.workspace(loss.value().shape(), loss.value().dtype());
    ops::fill(context_, one, 1.0);
    backward(context_, {{loss, one}});
  }
  return loss_sum;
}

void TrainStep::explain_divergence(int64_t step, const std::vector<Batch>& batches, int64_t num_targets,
                                   double loss, double grad_norm) {
  // The sums hide whose gradient it was. Nothing has been updated yet, so each rank runs its micro-batches
  // again, without a reduction, and looks.
  std::string mine;
  for (size_t i = 0; i < batches.size() && mine.empty(); ++i) {
    store_.begin_accumulation();
    const double loss_sum = forward_backward(step, {batches[i]}, num_targets, false);
    store_.finish_accumulation(context_);
    // Backward meets the last parameter of the forward pass first.
    for (const Parameter* parameter : store_.parameters()) {
      const int64_t bad = ops::count_non_finite(context_, parameter->gradient);
      if (bad == 0) continue;
      mine = fmt::format("micro-batch {}: loss sum {}, first non-finite gradient {} ({} of {} values)", i,
                         loss_sum, parameter->name, bad, parameter->gradient.num_elements());
      break;
    }
    if (mine.empty() && !std::isfinite(loss_sum))
      mine = fmt::format("micro-batch {}: loss sum {}, gradients finite", i, loss_sum);
  }
  std::string found;
  const std::vector<std::string> all = mesh_.world().gather_bytes(mine);
  for (size_t rank = 0; rank < all.size(); ++rank)
    if (!all[rank].empty()) found += fmt::format("\n  rank {}, {}", rank, all[rank]);
  if (found.empty()) found = "\n  every rank's own gradients are finite: their sum overflows";
  throw Error(ExitCode::kDiverged,
              fmt::format("training diverged at step {}: loss {}, gradient norm {}; nothing was updated.{}\n"
                          "Restart from the last checkpoint with a lower lr, more lr_warmup_iters or a "
                          "smaller clip_grad, and look at the data of these samples",
                          step, loss, grad_norm, found));
}

}  // namespace trireme
