#pragma once

#include <vector>

#include "core/optim/optimizer.h"
#include "parallel/checkpoint/tensor_box.h"

namespace trireme::checkpoint {

/// A box with its numbers on this rank.
struct HeldTensor {
  TensorBox box;
  Tensor data;  ///< of shape box.box.extent; a view, nothing is copied
};

/// Every logical tensor that this rank holds, by role and then in the model's order: weights, master weights
/// where they are distinct, and the given optimizer states.
std::vector<HeldTensor> held_tensors(const ParameterStore& parameters,
                                     const std::vector<OptimizerState>& optimizer);

std::vector<TensorBox> boxes_of(const std::vector<HeldTensor>& tensors);

/// The rows of `held` that lie in `box`, which differs from the held one in its first dimension only.
Tensor rows_of(const HeldTensor& held, const Box& box);

}  // namespace trireme::checkpoint
