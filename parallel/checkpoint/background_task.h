#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "parallel/checkpoint/agreement.h"

namespace trireme::checkpoint {

/// Work in a thread of its own, begun at once, that no signal interrupts. The work may use POSIX and serial
/// HDF5, no communicator.
class BackgroundTask {
 public:
  explicit BackgroundTask(std::function<Outcome()> work);
  ~BackgroundTask();  ///< waits for the end
  BackgroundTask(const BackgroundTask&) = delete;
  BackgroundTask& operator=(const BackgroundTask&) = delete;

  bool done() const;
  /// Waits for the end, `time` at most.
  void wait_for(std::chrono::milliseconds time) const;
  /// Waits for the end.
  Outcome take();

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool done_ = false;
  Outcome outcome_;
  std::thread thread_;
};

}  // namespace trireme::checkpoint
