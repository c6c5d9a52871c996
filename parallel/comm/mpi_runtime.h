#pragma once

#include <memory>
#include <string>

#include "parallel/comm/communicator.h"

namespace trireme::comm {

struct MpiOptions {
  bool shared_memory = true;  ///< false: ranks of one host exchange messages as if they were on several
};

/// Owns MPI_Init_thread (MPI_THREAD_FUNNELED) and MPI_Finalize. At most one in a process, made and destroyed
/// by its main thread; communicators must be destroyed before.
class MpiRuntime {
 public:
  /// Whether this process was started by mpirun, srun or another MPI launcher.
  static bool launched();

  MpiRuntime();
  ~MpiRuntime();
  MpiRuntime(const MpiRuntime&) = delete;
  MpiRuntime& operator=(const MpiRuntime&) = delete;

  std::unique_ptr<Communicator> world(MpiOptions options = {});

  int rank() const { return rank_; }
  int size() const { return size_; }
  static std::string library_version();

 private:
  int rank_ = 0, size_ = 1;
};

}  // namespace trireme::comm
