#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/tensor_box.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// What every rank holds, by rank. Collective.
std::vector<std::vector<TensorBox>> gather_boxes(Communicator& world, const std::vector<TensorBox>& held);

/// Every tensor of which some rank holds a box, once: weights, then masters, then optimizer states, each in
/// the order of `names` (others after them, by name). CommError (exit 76) naming tensor and ranks where two
/// ranks hold boxes of one tensor and mean another shape, type or parameter group.
std::vector<LogicalTensor> logical_tensors(const std::vector<std::vector<TensorBox>>& held_by_rank,
                                           const std::vector<std::string>& names);

}  // namespace trireme::checkpoint
