#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "parallel/comm/operation.h"

namespace trireme::comm {

using Clock = std::chrono::steady_clock;

/// How a rank waits for others: thread ranks sleep on a condition variable, processes poll.
class Waiter {
 public:
  virtual ~Waiter() = default;
  /// A mark to take before looking for progress.
  virtual uint64_t mark() = 0;
  /// Returns when something may have changed since `mark`; false when `until` has passed.
  virtual bool pause(uint64_t mark, Clock::time_point until) = 0;
  /// Throws CommError when another rank has given up.
  virtual void check() = 0;
  /// Takes operations that were abandoned while other ranks may still use their tensors.
  virtual void keep(std::vector<std::shared_ptr<Operation>> operations) = 0;
};

/// The operations under way of one rank, over all its groups: a rank that waits in one group moves those of
/// the others along, or two groups could wait for each other. One per rank, used by its thread only.
class Progress {
 public:
  explicit Progress(std::shared_ptr<Waiter> waiter) : waiter_(std::move(waiter)) {}
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void start(std::shared_ptr<Operation> operation);
  /// Moves every operation along, in the order in which they were started.
  void advance();
  /// Waits until `operation` is done; CommError with exit code 124 after `deadline`.
  void wait(const Operation& operation, std::chrono::milliseconds deadline);
  bool done(const Operation& operation) const;

 private:
  std::shared_ptr<Waiter> waiter_;
  std::vector<std::shared_ptr<Operation>> operations_;
};

}  // namespace trireme::comm
