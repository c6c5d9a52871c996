#include "parallel/comm/thread_world.h"

#include "core/base/error.h"

namespace trireme::comm {

uint64_t ThreadWorld::mark() {
  const std::lock_guard lock(mutex_);
  return changes_;
}

bool ThreadWorld::pause(uint64_t mark, Clock::time_point until) {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, until, [&] { return changes_ != mark; });
}

void ThreadWorld::check() {
  if (!aborted_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(mutex_);
  throw CommError(reason_, static_cast<ExitCode>(exit_code_));
}

void ThreadWorld::keep(std::vector<std::shared_ptr<Operation>> operations) {
  const std::lock_guard lock(mutex_);
  for (auto& operation : operations) abandoned_.push_back(std::move(operation));
}

void ThreadWorld::announce() {
  {
    const std::lock_guard lock(mutex_);
    ++changes_;
  }
  changed_.notify_all();
}

void ThreadWorld::abort(const std::string& reason, int exit_code) {
  {
    const std::lock_guard lock(mutex_);
    if (!aborted_.load(std::memory_order_relaxed)) {
      reason_ = reason;
      exit_code_ = exit_code;
      aborted_.store(true, std::memory_order_release);
    }
    ++changes_;
  }
  changed_.notify_all();
}

void ThreadWorld::clear() {
  std::vector<std::shared_ptr<Operation>> abandoned;
  {
    const std::lock_guard lock(mutex_);
    abandoned.swap(abandoned_);
  }
}

}  // namespace trireme::comm
