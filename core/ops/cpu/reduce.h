#pragma once

#include "core/ops/reduce.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/reduce.cpp.
namespace trireme::ops::cpu {

double sum(Context& context, const Tensor& x);
double sum_of_squares(Context& context, const Tensor& x);
int64_t count_non_finite(Context& context, const Tensor& x);
void column_sum(Context& context, const Tensor& x, Tensor& out, bool accumulate);

}  // namespace trireme::ops::cpu
