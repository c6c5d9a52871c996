#pragma once

#include "core/ops/gemm.h"

namespace trireme::ops::cpu {

/// oneDNN's matmul; 16-bit types that it lacks on this CPU go through gemm_through_float32.
void gemm(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options);

/// The same product panel by panel, each converted to float32; a 16-bit result is rounded once.
void gemm_through_float32(Context& context, const Tensor& a, const Tensor& b, Tensor& c,
                          const GemmOptions& options);

}  // namespace trireme::ops::cpu
