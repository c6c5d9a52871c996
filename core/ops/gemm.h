#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

struct GemmOptions {
  bool transpose_a = false;  ///< a is stored [K, M]
  bool transpose_b = false;  ///< b is stored [N, K] (a weight stored [out, in])
  bool accumulate = false;   ///< c += instead of c = (no beta = 1 for a first contribution: it costs 5-16 %)
  const Tensor* bias = nullptr;  ///< [N], added to every row; type of a, or float32
};

/// c[M, N] = op(a)[M, K] op(b)[K, N] (+ bias). Two-dimensional tensors, rows may be strided.
/// a and b have one type; c has it too, or is float32 (bfloat16 and float16 inputs: sums are kept in float32
/// either way, rounded once). Throws ShapeError.
void gemm(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options = {});

}  // namespace trireme::ops
