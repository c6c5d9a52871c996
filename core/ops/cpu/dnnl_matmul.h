#pragma once

#include <array>
#include <cstddef>

#include "core/tensor/context.h"

namespace trireme::ops::cpu {

/// One matrix as oneDNN sees it: element (row, col) lies at row * row_stride + col * col_stride.
struct MatrixLayout {
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t row_stride = 0;
  int64_t col_stride = 1;
  DType dtype = DType::kFloat32;
  auto operator<=>(const MatrixLayout&) const = default;
};

/// Everything a matmul primitive is made for; the key of the cache of primitives.
struct MatmulSpec {
  MatrixLayout a, b, c;
  bool has_bias = false;
  DType bias_dtype = DType::kFloat32;
  bool accumulate = false;
  int num_threads = 1;
  auto operator<=>(const MatmulSpec&) const = default;
};

/// Runs oneDNN's matmul on the caller's OpenMP threads. The primitive is made on first use and kept in
/// context.kernels, its scratchpad is taken from the context's workspace. Returns false, having done nothing,
/// when this oneDNN has no fast kernel for these types on this CPU. This is the only file that knows oneDNN's
/// version.
bool dnnl_matmul(Context& context, const MatmulSpec& spec, const void* a, const void* b, const void* bias,
                 void* c);

}  // namespace trireme::ops::cpu
