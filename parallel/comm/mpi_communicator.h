#pragma once

#include <memory>

#include "parallel/comm/mpi_runtime.h"

namespace trireme::comm {

/// The world of an MPI job. Ranks of one host reduce tensors that lie in memory from `allocate` directly
/// (SharedOperation); everything else goes through messages. Every wait polls MPI_Test with a deadline.
std::unique_ptr<Communicator> make_mpi_world(MpiOptions options);

}  // namespace trireme::comm
