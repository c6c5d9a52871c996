#pragma once

#include <memory>
#include <vector>

#include "parallel/comm/communicator.h"

namespace trireme {

/// Sends under way. Nobody waits for one until the end of a step: a schedule is free of deadlocks because its
/// sends never block.
class Outbox {
 public:
  void add(std::unique_ptr<Work> work) { works_.push_back(std::move(work)); }
  /// Lets go of what has arrived, and so of its tensors.
  void release_done();
  void wait_all();

 private:
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace trireme
