#pragma once

#include <mpi.h>

#include <string>

namespace trireme::comm::detail {
[[noreturn]] void mpi_failed(int code, const char* call);
}

/// Every MPI call goes through here: an error becomes a CommError with MPI's own words.
#define TRIREME_MPI(call)                                                                              \
  do {                                                                                                 \
    const int trireme_mpi_code = (call);                                                               \
    if (trireme_mpi_code != MPI_SUCCESS) ::trireme::comm::detail::mpi_failed(trireme_mpi_code, #call); \
  } while (false)
