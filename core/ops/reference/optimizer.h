#pragma once

#include "core/ops/optimizer.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/optimizer.cpp.
namespace trireme::ops::reference {

void adamw(Context& context, const AdamWOptions& options, Tensor& weights, const Tensor& gradient,
           Tensor& first_moment, Tensor& second_moment, Tensor* low_precision);
void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision);

}  // namespace trireme::ops::reference
