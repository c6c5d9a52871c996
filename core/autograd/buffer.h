#pragma once

#include <string>

#include "core/tensor/tensor.h"

namespace trireme {

/// State of a module that moves while it is trained and is not trained itself: BatchNorm's running
/// statistics. It has no gradient and no optimizer state and is in no norm. Each rank that has the module
/// holds all of it, and all hold the same bits. Owned by its Module, its memory by the ParameterStore.
struct Buffer {
  std::string name;  ///< logical, whatever the layout
  Shape shape;
  double initial = 0;  ///< every element
  Tensor value = {};   ///< float32 (float64), contiguous
};

}  // namespace trireme
