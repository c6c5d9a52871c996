#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

struct RestoreResult {
  TrainingState state;
  std::string damage;  ///< of every rank that met some; empty: restored
};

/// Restores one step into `targets`, this rank's boxes. `tensors`: what all ranks together hold, which must
/// be what the step has. Collective. Damage is returned (targets may then hold parts of the step); a step
/// that does not fit this run is an error on every rank.
RestoreResult restore_step(Communicator& world, const std::string& step_directory,
                           const TrainingState& expected, bool allow_data_change,
                           const std::vector<LogicalTensor>& tensors, const std::vector<HeldTensor>& targets);

}  // namespace trireme::checkpoint
