#pragma once

#include <functional>
#include <string>

#include "core/base/exit_code.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// This process's rank as mpirun or srun says it, 0 without them. Needs no MPI.
int launched_rank();

/// "trireme: error: ..." on standard error, in one write.
void print_error(const std::string& message);

/// Runs `body` and turns what it throws into an exit code and a message on standard error. Ranks that fail
/// together say a common message once (rank 0); a rank that fails alone names itself and its host and aborts
/// the others. Collective at its start.
ExitCode run_on_every_rank(Communicator& world, const std::function<ExitCode()>& body);

}  // namespace trireme
