#pragma once

#include <string>
#include <vector>

#include "core/tensor/context.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// Host memory into which a rank copies what it is to write, so that training may go on. Taken and touched
/// once.
class Staging {
 public:
  /// Collective over `group`, whose ranks live on `hosts`. Errors, the same on every rank: CheckpointError
  /// (exit 71) where a host, or the control group of its ranks, has less memory left than they need, with
  /// both in GiB.
  Staging(Context& context, Communicator& group, const SavePlan& plan, const std::vector<std::string>& hosts);

  /// Copies the planned boxes of this rank, given in the plan's order, with the context's threads. The copies
  /// are contiguous views, good until the next call.
  std::vector<Tensor> copy(const Context& context, const std::vector<Tensor>& boxes) const;

 private:
  std::shared_ptr<Storage> memory_;
};

/// DeviceError where `available` bytes of `host` are too few for the snapshots of `num_ranks` ranks.
void require_memory(int64_t needed, int64_t available, const std::string& host, int num_ranks);

}  // namespace trireme::checkpoint
