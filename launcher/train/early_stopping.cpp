#include "launcher/train/early_stopping.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <vector>

#include "core/base/error.h"

namespace trireme {
namespace {

bool lower_is_better(const std::string& metric) {
  return metric.find("loss") != std::string::npos || metric.find("perplexity") != std::string::npos;
}

}  // namespace

EarlyStopping::EarlyStopping(const TrainingConfig& config, const TrainingState& state)
    : patience_(config.early_stopping_patience), min_delta_(config.early_stopping_min_delta) {
  progress_ = early_stopping_of(state).value_or(EarlyStoppingProgress{});
  if (progress_.metric != config.early_stopping_metric) progress_ = {.metric = config.early_stopping_metric};
}

void EarlyStopping::check(const std::map<std::string, double>& metrics) const {
  if (!is_on() || metrics.contains(progress_.metric)) return;
  std::vector<std::string> names;
  for (const auto& [name, value] : metrics) names.push_back(name);
  throw ConfigError(fmt::format("training.early_stopping_metric: given {}, expected one of {}",
                                progress_.metric, fmt::join(names, ", ")));
}

bool EarlyStopping::observe(int64_t step, const std::map<std::string, double>& metrics) {
  check(metrics);
  if (!is_on()) return false;
  const double value = metrics.at(progress_.metric);
  const double gain = lower_is_better(progress_.metric) ? progress_.best - value : value - progress_.best;
  const bool improved = std::isfinite(value) && (progress_.best_step == 0 || gain > min_delta_);
  if (improved) {
    progress_.best = value;
    progress_.best_step = step;
  }
  progress_.num_without_improvement = improved ? 0 : progress_.num_without_improvement + 1;
  return improved;
}

std::string EarlyStopping::reason() const {
  const std::string since =
      fmt::format("{} has not improved for {} evaluation{}", progress_.metric,
                  progress_.num_without_improvement, progress_.num_without_improvement == 1 ? "" : "s");
  if (progress_.best_step == 0) return since + "; none was a number";
  return fmt::format("{}; the best, {:.6g}, was at step {}", since, progress_.best, progress_.best_step);
}

}  // namespace trireme
