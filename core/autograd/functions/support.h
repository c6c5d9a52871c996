#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// The same rows as one matrix [rows, cols].
inline Tensor as_matrix(const Tensor& x) {
  return x.reshape({x.rows(), x.cols()});
}

/// Whether this handle is the only one on its storage, so that the tensor may be overwritten.
inline bool exclusive(const Tensor& x) {
  return x.storage().use_count() == 1;
}

}  // namespace trireme
