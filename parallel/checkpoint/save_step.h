#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// Where a step goes.
struct SaveTarget {
  std::string directory;      ///< `checkpoints` of the run
  int64_t history_step = -1;  ///< later steps are of another history and are set aside at the commit
};

/// Writes and commits one step: space and names, shards (every rank), index, manifest, rename. Collective.
/// On an error nothing is left of the step on any rank.
void save_step(Communicator& world, const SaveTarget& target, const TrainingState& state,
               const std::vector<HeldTensor>& held, const SavePlan& plan);

}  // namespace trireme::checkpoint
