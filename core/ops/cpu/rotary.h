#pragma once

#include "core/ops/rotary.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/rotary.cpp.
namespace trireme::ops::cpu {

void rotary(Context& context, const RotaryOptions& options, const Tensor& positions, Tensor& x, bool inverse);

}  // namespace trireme::ops::cpu
