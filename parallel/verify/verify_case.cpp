#include "parallel/verify/verify_case.h"

namespace trireme::verify {

void make_measurable(VerifyCase& run) {
  run.rank.model.init_method_std = run.rank.model.normalization == Normalization::kNone ? 0.1 : 0.2;
  OptimizerConfig& optimizer = run.rank.optimizer;
  switch (optimizer.optimizer) {
    case OptimizerKind::kAdamW:
    case OptimizerKind::kAdam:
      optimizer.adam_eps = 0.01;
      break;
    case OptimizerKind::kAdagrad:
      optimizer.adagrad_eps = 0.01;
      break;
    case OptimizerKind::kRmsProp:
      optimizer.rmsprop_eps = 0.01;
      break;
    case OptimizerKind::kSgd:
      break;
  }
  if (run.rank.precision.loss_scale == 0) run.rank.precision.initial_loss_scale = 1024;
}

VerifyCase on_one_rank(const VerifyCase& layout) {
  VerifyCase alone = layout;
  alone.num_ranks = 1;
  alone.rank.parallel = {};
  alone.rank.parallel.distributed_timeout_seconds = layout.rank.parallel.distributed_timeout_seconds;
  alone.rank.step.recompute = {};
  const int data_ranks = MeshShape::make(layout.rank.parallel, layout.num_ranks).size(Axis::kData);
  alone.rank.micro_batch_size = layout.rank.model.normalization == Normalization::kBatchNorm
                                    ? layout.rank.micro_batch_size * data_ranks
                                    : layout.rank.global_batch_size;
  return alone;
}

VerifyCase in_precision(const VerifyCase& layout, Precision precision) {
  VerifyCase result = layout;
  result.rank.precision.dtype = precision;
  return result;
}

VerifyCase with_smooth_activation(const VerifyCase& layout) {
  VerifyCase result = layout;
  if (result.rank.model.activation == FeedForwardActivation::kRelu)
    result.rank.model.activation = FeedForwardActivation::kGelu;
  return result;
}

}  // namespace trireme::verify
