#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/held_tensors.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// Compares the content of data-parallel replicas bit for bit, by digest. CommError (exit 76) on every rank,
/// naming the first tensors that differ and the ranks that hold other bits than rank 0. Collective.
void check_replicas(Communicator& world, const std::vector<HeldTensor>& tensors);

}  // namespace trireme::checkpoint
