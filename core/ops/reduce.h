#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// Sum of all elements / of their squares, accumulated in float64 in a fixed order (the same for any number
/// of threads).
double sum(Context& context, const Tensor& x);
double sum_of_squares(Context& context, const Tensor& x);
/// Number of elements that are infinite or not a number.
int64_t count_non_finite(Context& context, const Tensor& x);
/// out[j] = sum over rows of x[., j] (+ out[j] when accumulate): the gradient of a bias. out [cols] float32
/// (float64 for float64).
void column_sum(Context& context, const Tensor& x, Tensor& out, bool accumulate);

}  // namespace trireme::ops
