#pragma once

#include "parallel/comm/communicator.h"
#include "parallel/pipeline/timeline.h"

namespace trireme {

/// The events of all ranks (PipelineEngine::timeline()) on one clock that starts with the first of them, the
/// same on every rank. Clocks of different hosts are brought together at a barrier, so good to the time that
/// its last message takes. Collective over `world`.
Timeline gather_timeline(Communicator& world, const Timeline& mine);

}  // namespace trireme
