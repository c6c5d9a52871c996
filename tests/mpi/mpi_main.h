#pragma once

#include "parallel/comm/mpi_runtime.h"

namespace trireme::testing {

/// The MPI of this test program; made in main.
comm::MpiRuntime& mpi();

}  // namespace trireme::testing
