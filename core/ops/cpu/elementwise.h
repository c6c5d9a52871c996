#pragma once

#include "core/ops/elementwise.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/elementwise.cpp.
namespace trireme::ops::cpu {

void add(Context& context, const Tensor& a, const Tensor& b, Tensor& c);
void scale(Context& context, Tensor& x, double factor);
void cast(Context& context, const Tensor& x, Tensor& y);
void fill(Context& context, Tensor& x, double value);

}  // namespace trireme::ops::cpu
