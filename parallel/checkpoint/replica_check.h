#pragma once

#include <vector>

#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// Compares the content of every box that several ranks hold, bit for bit, by digests made in `num_threads`
/// threads. CommError (exit 76) on
/// every rank, naming the first tensors that differ and the ranks that hold other bits than the first holder.
/// Collective.
void check_replicas(Communicator& world, const std::vector<HeldTensor>& tensors, const SavePlan& plan,
                    int num_threads);

}  // namespace trireme::checkpoint
