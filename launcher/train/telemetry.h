#pragma once

#include <memory>
#include <string>

#include "launcher/config/run_config.h"
#include "launcher/train/metrics_file.h"
#include "launcher/train/step_report.h"
#include "launcher/train/tensorboard.h"

namespace trireme {

/// What a run tells while it trains: metrics.jsonl, TensorBoard events and lines on standard output. Lives on
/// rank 0.
class Telemetry {
 public:
  /// Goes on after `last_step`: what an earlier process wrote of later steps is cut off. Throws IoError (exit
  /// 73) when output_dir cannot be written.
  Telemetry(const RunConfig& config, int64_t last_step);

  void step(const StepReport& report);
  void evaluation(int64_t step, const EvaluationResult& result, double seconds);
  /// A save that ended, committed or failed. What failed is a line of the metrics only.
  void save(const SaveReport& report);

 private:
  MetricsFile metrics_;
  std::unique_ptr<TensorBoardWriter> tensorboard_;
  int64_t log_interval_;
  int64_t train_iters_;
  int64_t num_steps_ = 0;        ///< of this process
  double seconds_per_step_ = 0;  ///< running mean, for the time left
};

}  // namespace trireme
