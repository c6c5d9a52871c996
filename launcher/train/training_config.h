#pragma once

#include "core/base/fields.h"
#include "core/nn/recompute.h"

namespace trireme {

/// Section `training`.
struct TrainingConfig {
  int64_t train_iters = 1000;
  int64_t micro_batch_size = 1;
  int64_t global_batch_size = 0;  ///< samples a step; 0: micro_batch_size * data-parallel ranks
  int64_t seed = 1234;
  RecomputeGranularity recompute_granularity = RecomputeGranularity::kNone;
  int64_t recompute_num_layers = 0;     ///< the first ones; 0: all
  int64_t eval_interval = 0;            ///< steps; 0: at the end only
  int64_t eval_iters = 0;               ///< micro-batches a rank; 0: every window
  bool eval_ema = false;                ///< evaluate the moving average of the weights
  int64_t early_stopping_patience = 0;  ///< evaluations without improvement that end the run; 0: off
  double early_stopping_min_delta = 0;
  std::string early_stopping_metric = "validation_loss";
  int64_t log_interval = 10;      ///< steps between console lines
  int64_t max_skipped_steps = 0;  ///< in a row, not finite, before the run stops
  int64_t timeline_step = 3;      ///< of the process, whose timeline is drawn; 0: none
  std::string output_dir;         ///< empty: runs/<name of the run file>
  std::string resume = "auto";    ///< auto | never | PATH of a step directory
  std::string initialize_from;    ///< PATH of a step or run whose weights a new run begins with; empty: none
  std::vector<std::string> initialize_only;  ///< patterns of names; empty: all
  int64_t num_threads = 0;                   ///< OpenMP threads a rank; 0: this host's cores / its ranks
  double peak_tflops = 0;                    ///< a rank's peak for MFU; 0: measured at start
  bool tensorboard = true;

  RecomputeOptions recompute() const { return {recompute_granularity, recompute_num_layers}; }
  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
