#pragma once

#include <map>
#include <string>

#include "launcher/train/training_config.h"
#include "parallel/checkpoint/training_state.h"

namespace trireme {

/// Ends a run when its evaluations no longer improve (Prechelt 1998, "Early stopping - but when?"; patience
/// and threshold as in Transformers' EarlyStoppingCallback). All ranks must be told the same.
class EarlyStopping {
 public:
  /// Goes on where `state` was saved; anew where that looked at another metric.
  EarlyStopping(const TrainingConfig& config, const TrainingState& state);

  bool is_on() const { return patience_ > 0; }
  /// ConfigError where the metric is not among these, naming those that are.
  void check(const std::map<std::string, double>& metrics) const;
  /// An evaluation: metrics by name, as for check(). True: the best so far. What is not a number never is.
  bool observe(int64_t step, const std::map<std::string, double>& metrics);
  bool should_stop() const { return is_on() && progress_.num_without_improvement >= patience_; }
  const EarlyStoppingProgress& progress() const { return progress_; }
  /// "validation_loss has not improved for 5 evaluations; the best, 2.5, was at step 400".
  std::string reason() const;

 private:
  int64_t patience_;
  double min_delta_;
  EarlyStoppingProgress progress_;
};

}  // namespace trireme
