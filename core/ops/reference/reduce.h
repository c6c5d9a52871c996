#pragma once

#include "core/ops/reduce.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/reduce.cpp.
namespace trireme::ops::reference {

double sum(Context& context, const Tensor& x);
double sum_of_squares(Context& context, const Tensor& x);
int64_t count_non_finite(Context& context, const Tensor& x);
void column_sum(Context& context, const Tensor& x, Tensor& out, bool accumulate);

}  // namespace trireme::ops::reference
