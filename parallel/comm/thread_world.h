#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>

#include "parallel/comm/progress.h"
#include "parallel/comm/shared_operation.h"

namespace trireme::comm {

/// A message between two thread ranks of a group.
struct ThreadMessage {
  explicit ThreadMessage(Tensor sent) : tensor(std::move(sent)) {}
  Tensor tensor;
  std::atomic<bool> received{false};
};

/// Messages of one route and tag. Receives take them in the order in which they were posted, whichever is
/// asked first.
struct ThreadChannel {
  std::deque<std::shared_ptr<ThreadMessage>> messages;
  int64_t num_posted = 0;  ///< receives
  int64_t num_taken = 0;
};

/// What the thread ranks of one group share: their lines, messages, and the groups split from it.
struct ThreadGroup {
  explicit ThreadGroup(int size) : lines(static_cast<size_t>(size)) {}

  struct Route {
    int source, destination, tag;
    auto operator<=>(const Route&) const = default;
  };
  std::vector<BoardLine> lines;
  std::mutex mutex;
  std::map<Route, ThreadChannel> channels;
  std::map<std::pair<int64_t, int>, std::shared_ptr<ThreadGroup>> splits;  ///< by (split number, color)
};

/// What all thread ranks of a process share: how they sleep, and how they give up together.
class ThreadWorld final : public Waiter {
 public:
  uint64_t mark() override;
  bool pause(uint64_t mark, Clock::time_point until) override;
  void check() override;
  void keep(std::vector<std::shared_ptr<Operation>> operations) override;

  /// Wakes the sleepers: something has changed.
  void announce();
  /// Makes every later wait of every rank throw CommError; the first reason stays.
  void abort(const std::string& reason, int exit_code);
  /// Frees abandoned operations; when all rank threads have ended.
  void clear();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t changes_ = 0;
  std::atomic<bool> aborted_{false};
  std::string reason_;
  int exit_code_ = 0;
  std::vector<std::shared_ptr<Operation>> abandoned_;
};

}  // namespace trireme::comm
