#pragma once

#include "core/ops/optimizer.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/optimizer.cpp.
namespace trireme::ops::reference {

void adam(Context& context, const AdamOptions& options, Tensor& weights, const Tensor& gradient,
          Tensor& first_moment, Tensor& second_moment, Tensor* low_precision);
void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision);
void adagrad(Context& context, const AdagradOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& sum, Tensor* low_precision);
void rmsprop(Context& context, const RmsPropOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& square_average, Tensor* gradient_average, Tensor* momentum_buffer,
             Tensor* low_precision);
void moving_average(Context& context, double decay, const Tensor& weights, Tensor& average);

}  // namespace trireme::ops::reference
