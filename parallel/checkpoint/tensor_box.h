#pragma once

#include <optional>
#include <string>
#include <vector>

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
/// The parts of `a` that lie outside `b`, apart from each other. Cut dimension by dimension from the first,
/// so that each lies in whole rows of `a`, or inside one, where `b` does.
std::vector<Box> difference(const Box& a, const Box& b);
/// A box in parts of at most `max_elements` (at least 1), in row-major order: each is a range of rows, or
/// lies in one.
std::vector<Box> cut(const Box& box, int64_t max_elements);
/// "0,0+64,128": offset + extent; names a box's data set in a shard.
std::string to_string(const Box& box);

/// What a tensor is for: "model" (weights in the compute type), "master" (float32 weights where the compute
/// type is another) or "optimizer/<state>". Names a group in a shard.
using Role = std::string;

/// A tensor as one rank's model knows it, whatever the layout.
struct LogicalTensor {
  Role role;
  std::string name;  ///< of the parameter or buffer
  DType dtype = DType::kFloat32;
  Shape global_shape;
  std::string parameter_group;  ///< "decay", "no_decay" or "buffer"

  bool operator==(const LogicalTensor&) const = default;
};

/// A box that a rank holds of a logical tensor.
struct TensorBox : LogicalTensor {
  Box box;

  bool operator==(const TensorBox&) const = default;
  int64_t num_bytes() const { return box.num_elements() * size_of(dtype); }
};

/// Whether the boxes cover a tensor of this shape exactly once; says what is wrong, or is empty.
std::string coverage_error(const Shape& shape, std::vector<Box> boxes);

}  // namespace trireme::checkpoint
