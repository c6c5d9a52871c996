#pragma once

#include "core/ops/norm.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/norm.cpp.
namespace trireme::ops::cpu {

void layer_norm_forward(Context& context, const Tensor& x, const Tensor& weight, const Tensor* bias,
                        double eps, Tensor& y, Tensor& mean, Tensor& rstd);
void layer_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, Tensor& d_x, bool accumulate_d_x,
                         Tensor& d_weight, Tensor* d_bias, bool accumulate_parameters);
void rms_norm_forward(Context& context, const Tensor& x, const Tensor& weight, double eps, Tensor& y,
                      Tensor& rstd);
void rms_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, Tensor& d_x, bool accumulate_d_x, Tensor& d_weight,
                       bool accumulate_parameters);

}  // namespace trireme::ops::cpu
