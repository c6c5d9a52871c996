#pragma once

#include "core/base/philox.h"
#include "core/tensor/context.h"

namespace trireme::ops {

/// Dropout, Srivastava et al. 2014, inverted: kept elements are scaled by 1 / (1 - p). The mask is a function
/// of (key, sample, position, feature) and is never stored: backward is the same call on the gradient.
struct DropoutOptions {
  double probability = 0.0;  ///< in [0, 1)
  RandomKey key;
  Tensor sample_ids;           ///< int64 [B], global sample numbers
  Tensor positions;            ///< int32 [B, T]
  int64_t feature_offset = 0;  ///< global index of column 0, a multiple of 4
};

/// y = dropout(x) (+ residual when given). x, y, residual [B*T, D]; y may be x.
void dropout(Context& context, const DropoutOptions& options, const Tensor& x, const Tensor* residual,
             Tensor& y);

}  // namespace trireme::ops
