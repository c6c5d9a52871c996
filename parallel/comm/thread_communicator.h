#pragma once

#include <functional>

#include "parallel/comm/base_communicator.h"
#include "parallel/comm/thread_world.h"

namespace trireme::comm {

/// Ranks that are threads of one process. Any tensor is shared memory here; waits sleep, never spin.
class ThreadCommunicator final : public BaseCommunicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadWorld> world, std::shared_ptr<ThreadGroup> group,
                     std::shared_ptr<Progress> progress, const std::string& name, int rank);

  std::shared_ptr<Storage> allocate(Context& context, int64_t bytes, MemoryCategory category) override;
  void abort(const std::string& reason, int exit_code) override;

 private:
  std::shared_ptr<Operation> launch(Call&& call) override;
  std::unique_ptr<BaseCommunicator> make_split(const std::vector<int>& members, int color,
                                               const std::string& name) override;

  std::shared_ptr<ThreadWorld> world_;
  std::shared_ptr<ThreadGroup> group_;
  std::shared_ptr<Board> board_;
  int64_t num_splits_ = 0;
};

/// Runs `body` on `num_ranks` threads, each with its world communicator and `num_threads` OpenMP threads, and
/// returns when all have ended. When one throws, the others' waits throw CommError, and the first exception
/// is thrown again here.
void run_thread_ranks(int num_ranks, const std::function<void(Communicator& world)>& body,
                      int num_threads = 1);

}  // namespace trireme::comm
