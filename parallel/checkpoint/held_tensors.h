#pragma once

#include <vector>

#include "core/optim/optimizer.h"
#include "parallel/checkpoint/tensor_box.h"

namespace trireme::checkpoint {

/// Parameter group of what is not trained: buffers, of role "model", in float32 (float64).
inline constexpr const char* kBufferGroup = "buffer";

/// A box with its numbers on this rank.
struct HeldTensor {
  TensorBox box;
  Tensor data;  ///< of shape box.box.extent; a view, nothing is copied
};

/// Every box of a logical tensor that this rank holds: weights, buffers, master weights where they are
/// distinct, and the given optimizer states. Of what is sharded (masters, states) these are the owned boxes
/// only.
std::vector<HeldTensor> held_tensors(const ParameterStore& parameters,
                                     const std::vector<OptimizerState>& optimizer);

std::vector<TensorBox> boxes_of(const std::vector<HeldTensor>& tensors);

/// The numbers of a box that lies in `held` as a range of its columns, or as whole or cut rows that follow
/// one another; our own bug otherwise.
Tensor part_of(const HeldTensor& held, const Box& box);

}  // namespace trireme::checkpoint
