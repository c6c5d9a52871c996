#pragma once

#include <functional>

#include "core/base/exit_code.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// Runs `body` with the world this process was started in: MPI's under mpirun or srun, otherwise one rank
/// without MPI. Errors are printed here, once for all ranks where they fail together.
ExitCode run_in_world(const std::function<ExitCode(Communicator& world)>& body);

}  // namespace trireme
