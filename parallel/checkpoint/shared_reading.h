#pragma once

#include <vector>

#include "parallel/checkpoint/held_tensors.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/comm/communicator.h"

namespace trireme::checkpoint {

/// Ranks that hold the same boxes read each byte of them once: each what the plan has it write. `targets`:
/// what `rank` holds, in the order of the plan. Boxes that nobody else holds, or that other ranks write in
/// part, are read whole.
std::vector<HeldTensor> parts_to_read(const SavePlan& plan, int rank, const std::vector<HeldTensor>& targets);

/// Gives every rank what others have read for it. Collective; after all have read parts_to_read. Beside the
/// targets at most `buffer_bytes` are held.
void share_parts(Communicator& world, const SavePlan& plan, const std::vector<HeldTensor>& targets,
                 int64_t buffer_bytes);

}  // namespace trireme::checkpoint
