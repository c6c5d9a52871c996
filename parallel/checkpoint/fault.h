#pragma once

#include <string_view>

namespace trireme::checkpoint {

/// Causes the fault that the environment variable TRIREME_FAULT=phase:rank:action asks for, when it is this
/// phase on this rank. Actions: `kill` (SIGKILL to this process), `error` (an IoError, as from a disk that
/// fails), `delay=SECONDS` (as a slow disk). Always compiled in, for tests of what survives. Phases of a
/// save, in order: prepared, snapshot in the training thread and skeleton, write, before_fsync,
/// before_agreement in the background of every rank; index, manifest, rename, latest in that of rank 0 (each
/// after what it names). ConfigError where the variable is malformed.
void fault_point(std::string_view phase, int rank);

}  // namespace trireme::checkpoint
