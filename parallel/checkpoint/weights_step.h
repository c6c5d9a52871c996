#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"
#include "parallel/checkpoint/tensor_box.h"
#include "parallel/checkpoint/training_state.h"

namespace trireme::checkpoint {

/// Commits `<directory>/step-<state.step>` with these tensors and nothing else: weights that no training of
/// ours has made. `load` gives the numbers of each, whole and contiguous; it is asked in order, and what it
/// gave is let go after at most `max_shard_bytes` more, or at once where it is larger. Makes the directory
/// and holds its lock meanwhile. Returns the path of the step. Errors: exit 73 where another job holds the
/// directory or it cannot be made; IoError; what `load` throws: then no step is there.
std::string write_weights_step(const std::string& directory, const TrainingState& state,
                               const std::vector<LogicalTensor>& tensors,
                               const std::function<Tensor(const LogicalTensor&)>& load,
                               int64_t max_shard_bytes);

}  // namespace trireme::checkpoint
