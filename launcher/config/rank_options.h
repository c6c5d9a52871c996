#pragma once

#include "launcher/config/run_config.h"
#include "parallel/step/training_rank.h"

namespace trireme {

/// What a rank needs to know of a run file that plan_run has checked.
RankOptions rank_options(const RunConfig& config);

}  // namespace trireme
