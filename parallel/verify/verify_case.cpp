#include "parallel/verify/verify_case.h"

namespace trireme::verify {

void make_measurable(VerifyCase& run) {
  run.rank.model.init_method_std = 0.2;
  run.rank.optimizer.adam_eps = 0.01;
  if (run.rank.precision.loss_scale == 0) run.rank.precision.initial_loss_scale = 1024;
}

VerifyCase on_one_rank(const VerifyCase& layout) {
  VerifyCase alone = layout;
  alone.num_ranks = 1;
  alone.rank.parallel = {};
  alone.rank.parallel.distributed_timeout_seconds = layout.rank.parallel.distributed_timeout_seconds;
  alone.rank.step.recompute = {};
  alone.rank.micro_batch_size = layout.rank.global_batch_size;
  return alone;
}

VerifyCase in_precision(const VerifyCase& layout, Precision precision) {
  VerifyCase result = layout;
  result.rank.precision.dtype = precision;
  return result;
}

}  // namespace trireme::verify
