#include "core/base/parallel_tasks.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

namespace trireme {

void run_tasks(int64_t num_tasks, int num_threads, const std::function<void(int64_t, int)>& body) {
  std::atomic<int64_t> next_task{0};
  std::mutex mutex;
  std::exception_ptr error;
  int64_t failed_task = std::numeric_limits<int64_t>::max();
  const auto work = [&](int thread) {
    for (int64_t task; (task = next_task.fetch_add(1)) < num_tasks;) {
      try {
        body(task, thread);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (task < failed_task) {
          failed_task = task;
          error = std::current_exception();
        }
      }
    }
  };
  const int helpers = static_cast<int>(std::min<int64_t>(num_threads, num_tasks)) - 1;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < helpers; ++i) threads.emplace_back(work, i + 1);
    work(0);
  }
  if (error) std::rethrow_exception(error);
}

int num_usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace trireme
