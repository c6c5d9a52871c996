#include "parallel/checkpoint/background_task.h"

#include <signal.h>

namespace trireme::checkpoint {
namespace {

/// Signals are for the main thread. Some file systems end an fsync here with EINTR, which would be an error.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

BackgroundTask::BackgroundTask(std::function<Outcome()> work)
    : thread_([this, work = std::move(work)] {
        block_signals();
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
