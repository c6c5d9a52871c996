#pragma once

#include "core/ops/dropout.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/dropout.cpp.
namespace trireme::ops::cpu {

void dropout(Context& context, const DropoutOptions& options, const Tensor& x, const Tensor* residual,
             Tensor& y);

}  // namespace trireme::ops::cpu
