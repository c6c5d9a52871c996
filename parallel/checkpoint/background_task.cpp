#include "parallel/checkpoint/background_task.h"

namespace trireme::checkpoint {

BackgroundTask::BackgroundTask(std::function<Outcome()> work)
    : thread_([this, work = std::move(work)] {
        Outcome outcome = work();
        {
          const std::lock_guard lock(mutex_);
          outcome_ = std::move(outcome);
          done_ = true;
        }
        changed_.notify_all();
      }) {}

BackgroundTask::~BackgroundTask() {
  if (thread_.joinable()) thread_.join();
}

bool BackgroundTask::done() const {
  const std::lock_guard lock(mutex_);
  return done_;
}

void BackgroundTask::wait_for(std::chrono::milliseconds time) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return done_; });
}

Outcome BackgroundTask::take() {
  thread_.join();
  return std::move(outcome_);
}

}  // namespace trireme::checkpoint
