#include "parallel/comm/mpi_runtime.h"

#include <fmt/format.h>

#include <cstdlib>
#include <exception>

#include "core/base/error.h"
#include "parallel/comm/mpi_check.h"
#include "parallel/comm/mpi_communicator.h"

namespace trireme::comm {

void detail::mpi_failed(int code, const char* call) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw CommError(fmt::format("MPI: {} failed: {}", call, text));
}

bool MpiRuntime::launched() {
  // Open MPI, PMIx launchers (srun --mpi=pmix), MPICH and its kin.
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (std::getenv(variable) != nullptr) return true;
  return false;
}

MpiRuntime::MpiRuntime() {
  int provided = MPI_THREAD_SINGLE;
  TRIREME_MPI(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  if (provided < MPI_THREAD_FUNNELED)
    throw CommError("this MPI library does not allow threads (MPI_THREAD_FUNNELED is needed)");
  TRIREME_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  TRIREME_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  TRIREME_MPI(MPI_Comm_size(MPI_COMM_WORLD, &size_));
}

MpiRuntime::~MpiRuntime() {
  // MPI_Finalize waits for the other ranks; a process that ends without it makes mpirun stop them instead.
  if (std::uncaught_exceptions() == 0) MPI_Finalize();
}

std::unique_ptr<Communicator> MpiRuntime::world(MpiOptions options) {
  return make_mpi_world(options);
}

std::string MpiRuntime::library_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  TRIREME_MPI(MPI_Get_library_version(text, &length));
  return std::string(text, static_cast<size_t>(length));
}

}  // namespace trireme::comm
