#pragma once

#include "core/ops/optimizer.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/optimizer.cpp.
namespace trireme::ops::cpu {

void adamw(Context& context, const AdamWOptions& options, Tensor& weights, const Tensor& gradient,
           Tensor& first_moment, Tensor& second_moment, Tensor* low_precision);
void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision);

}  // namespace trireme::ops::cpu
