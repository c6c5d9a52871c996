#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "parallel/checkpoint/checkpoint_config.h"
#include "parallel/checkpoint/training_state.h"

namespace trireme::checkpoint {

/// Removes what dead saves, removals and repairs left (.tmp-*, latest.tmp-*). Under the directory's lock
/// only.
void remove_leftovers(const std::string& directory);

/// Gives every step after `step` a name that restore does not look at, abandoned-step-<step>-<run id>: they
/// belong to a history that this run does not continue. Nothing is deleted; a warning names each.
void set_aside_later_steps(const std::string& directory, int64_t step, const std::string& run_id);

/// A committed step as retention sees it.
struct KeptStep {
  int64_t step = 0;
  std::optional<double> validation_loss;  ///< known when it was saved
};

/// Which of `steps` (ascending) go, by keep_last, keep_every and keep_best; never the newest, nor
/// `protected_step`.
std::vector<int64_t> steps_to_remove(const std::vector<KeptStep>& steps, const CheckpointConfig& config,
                                     std::optional<int64_t> protected_step = std::nullopt);

/// Removes them, after the commit of `newest`; the best step of its early stopping stays. A step disappears
/// by a rename first, so that none is ever seen half-removed. What cannot be removed is told as a warning.
void remove_old_steps(const std::string& directory, const CheckpointConfig& config,
                      const TrainingState& newest);

}  // namespace trireme::checkpoint
