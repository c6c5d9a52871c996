#pragma once

#include <vector>

#include "core/optim/parameter_store.h"

namespace trireme {

/// A rectangle of a logical tensor, in its global coordinates, with the numbers that this rank keeps of it.
struct OwnedBox {
  Shape offset;
  Shape extent;
  Tensor data;  ///< of shape `extent`; a view, nothing is copied
};

/// The boxes of a piece of parameters()[parameter] that the owned ranges hold, disjoint and in the order of
/// the elements. `owned_flat` has num_owned() elements: an optimizer state, or the distinct master weights.
/// Where the whole piece is owned: one box. Of a piece of N dimensions, one owned range holds at most 2N - 1
/// boxes: a part of a row, whole rows, a part of a row; the same one dimension further out; and so on.
std::vector<OwnedBox> owned_boxes(const ParameterStore& store, const Tensor& owned_flat, size_t parameter,
                                  size_t piece);

}  // namespace trireme
