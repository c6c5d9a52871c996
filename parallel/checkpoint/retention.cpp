#include "parallel/checkpoint/retention.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <tuple>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/directory.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/step_directory.h"

namespace trireme::checkpoint {
namespace {

/// The validation loss of a step; nothing where it was not known or the step is damaged.
std::optional<double> loss_of(const std::string& step_directory) {
  try {
    return validation_loss_of(load_manifest(step_directory).state);
  } catch (const CheckpointError&) {
    return std::nullopt;
  }
}

}  // namespace

void remove_leftovers(const std::string& directory) {
  for (const std::string& name : io::list_directory(directory)) {
    if (!name.starts_with(".tmp-") && !name.starts_with("latest.tmp-")) continue;
    log::info("removing '{}/{}', which an interrupted save left", directory, name);
    io::remove_directory(directory + "/" + name);
  }
}

void set_aside_later_steps(const std::string& directory, int64_t step, const std::string& run_id) {
  for (const int64_t later : committed_steps(directory)) {
    if (later <= step) continue;
    const std::string name = step_directory_name(later);
    const std::string stem = fmt::format("{}/abandoned-{}-{}", directory, name, run_id);
    std::string target = stem;
    for (int attempt = 2; std::filesystem::exists(target); ++attempt)
      target = fmt::format("{}-{}", stem, attempt);
    io::rename_to_new(directory + "/" + name, target);
    log::warning("'{}/{}' is not of the history that this run continues; it is kept as '{}'", directory, name,
                 target);
  }
}

std::vector<int64_t> steps_to_remove(const std::vector<KeptStep>& steps, const CheckpointConfig& config,
                                     std::optional<int64_t> protected_step) {
  if (config.keep_last == 0 || steps.empty()) return {};
  std::vector<KeptStep> best;
  for (const KeptStep& kept : steps)
    if (kept.validation_loss) best.push_back(kept);
  std::stable_sort(best.begin(), best.end(), [](const KeptStep& a, const KeptStep& b) {
    return std::tie(*a.validation_loss, b.step) < std::tie(*b.validation_loss, a.step);  // newer first
  });
  best.resize(std::min(best.size(), static_cast<size_t>(config.keep_best)));
  const auto is_best = [&](int64_t step) {
    return std::any_of(best.begin(), best.end(), [&](const KeptStep& kept) { return kept.step == step; });
  };
  const auto every = [&](int64_t step) { return config.keep_every > 0 && step % config.keep_every == 0; };
  std::vector<int64_t> removed;
  for (size_t i = 0; i + static_cast<size_t>(config.keep_last) < steps.size(); ++i)
    if (!every(steps[i].step) && !is_best(steps[i].step) && steps[i].step != protected_step)
      removed.push_back(steps[i].step);
  return removed;
}

void remove_old_steps(const std::string& directory, const CheckpointConfig& config,
                      const TrainingState& newest) {
  if (config.keep_last == 0) return;
  try {
    std::vector<KeptStep> steps;
    for (const int64_t step : committed_steps(directory))
      steps.push_back(
          {step, config.keep_best > 0 ? loss_of(directory + "/" + step_directory_name(step)) : std::nullopt});
    const std::optional<EarlyStoppingProgress> stopping = early_stopping_of(newest);
    const std::optional<int64_t> best = stopping ? std::optional(stopping->best_step) : std::nullopt;
    for (const int64_t step : steps_to_remove(steps, config, best)) {
      const std::string name = step_directory_name(step);
      const std::string hidden = fmt::format("{}/.tmp-removed-{}", directory, name);
      io::rename_to_new(directory + "/" + name, hidden);
      io::remove_directory(hidden);
    }
  } catch (const std::exception& error) {
    log::warning("an old checkpoint could not be removed: {}", error.what());
  }
}

}  // namespace trireme::checkpoint
