#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/checkpoint_config.h"
#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

struct RestoreResult {
  TrainingState state;
  std::string damage;          ///< of every rank that met some; empty: restored
  int64_t num_bytes_read = 0;  ///< by this rank
};

/// Restores one step into `targets`, this rank's boxes in the order of the plan. What all ranks together hold
/// must be what the step has. What several ranks hold is read by one of them and sent to the others.
/// Collective. Damage is returned (targets may then hold parts of the step); a step that does not fit this
/// run is an error on every rank.
RestoreResult restore_step(Communicator& world, const std::string& step_directory,
                           const TrainingState& expected, const CheckpointConfig& config,
                           const SavePlan& plan, const std::vector<HeldTensor>& targets);

}  // namespace trireme::checkpoint
