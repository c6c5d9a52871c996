#pragma once

#include <string>

#include "core/data/sample_source.h"
#include "launcher/config/plan.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// The state of a run that starts at step 0, with all that a checkpoint must agree with. The run id is rank
/// 0's. Collective.
TrainingState initial_state(const RunPlan& plan, const SampleSource& training_source, Communicator& world);

}  // namespace trireme
