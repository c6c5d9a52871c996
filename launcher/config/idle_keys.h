#pragma once

#include "launcher/config/problems.h"
#include "launcher/config/run_config.h"

namespace trireme {

/// Keys of the sections training, optimizer, precision and checkpoint that mean nothing beside what others
/// say, and yet have another value than usual. (Of `model` and `data` ModelConfig::resolve and sample_errors
/// tell.)
void check_idle_keys(const RunConfig& config, ConfigProblems& problems);

}  // namespace trireme
