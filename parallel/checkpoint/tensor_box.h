#pragma once

#include <optional>
#include <string>

#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace trireme::checkpoint {

/// A rectangle of a logical tensor, in its coordinates. Both have the tensor's number of dimensions.
struct Box {
  Shape offset;
  Shape extent;

  bool operator==(const Box&) const = default;
  int64_t num_elements() const { return trireme::num_elements(extent); }
};

/// What two boxes of one tensor share, or nothing.
std::optional<Box> intersection(const Box& a, const Box& b);
/// "0,0+64,128": offset + extent; names a box's data set in a shard.
std::string to_string(const Box& box);

/// What a tensor is for: "model" (weights in the compute type), "master" (float32 weights where the compute
/// type is another) or "optimizer/<state>". Names a group in a shard.
using Role = std::string;

/// A box that a rank holds of a logical tensor.
struct TensorBox {
  Role role;
  std::string name;  ///< of the parameter, as one rank's model names it
  DType dtype = DType::kFloat32;
  Shape global_shape;
  Box box;
  std::string parameter_group;  ///< "decay" or "no_decay"

  int64_t num_bytes() const { return box.num_elements() * size_of(dtype); }
};

/// Whether the boxes cover a tensor of this shape exactly once; says what is wrong, or is empty.
std::string coverage_error(const Shape& shape, std::vector<Box> boxes);

}  // namespace trireme::checkpoint
