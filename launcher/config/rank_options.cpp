#include "launcher/config/rank_options.h"

namespace trireme {

RankOptions rank_options(const RunConfig& config) {
  const TrainingConfig& training = config.training;
  const uint64_t seed = static_cast<uint64_t>(training.seed);
  return {.model = config.model,
          .parallel = config.parallel,
          .precision = config.precision,
          .optimizer = config.optimizer,
          .step = {.clip_grad = config.optimizer.clip_grad,
                   .seed = seed,
                   .recompute = training.recompute(),
                   .max_skipped_steps = training.max_skipped_steps,
                   .replica_check_interval = config.parallel.replica_check_interval},
          .micro_batch_size = training.micro_batch_size,
          .global_batch_size = training.global_batch_size,
          .seq_length = config.data.seq_length,
          .seed = seed};
}

}  // namespace trireme
