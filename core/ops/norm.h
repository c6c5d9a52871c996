#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// LayerNorm, Ba et al. 2016, over the last dimension (biased variance, eps inside the root):
/// y = (x - mean) * rstd * weight + bias. mean and rstd: [rows], float32 (float64 for float64). bias may be
/// null.
void layer_norm_forward(Context& context, const Tensor& x, const Tensor& weight, const Tensor* bias,
                        double eps, Tensor& y, Tensor& mean, Tensor& rstd);

/// d_x is written, or added to when accumulate_d_x. d_weight and d_bias ([cols], float32 or float64; bias
/// null where there is none) are written, or added to when accumulate_parameters. d_x = rstd * (g - mean(g) -
/// xhat * mean(g * xhat)), g = d_y * weight.
void layer_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, Tensor& d_x, bool accumulate_d_x,
                         Tensor& d_weight, Tensor* d_bias, bool accumulate_parameters);

/// RMSNorm, Zhang and Sennrich 2019: y = x * rstd * weight, rstd = (mean(x^2) + eps)^-1/2.
void rms_norm_forward(Context& context, const Tensor& x, const Tensor& weight, double eps, Tensor& y,
                      Tensor& rstd);

/// d_x = rstd * (g - xhat * mean(g * xhat)), g = d_y * weight, xhat = x * rstd.
void rms_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, Tensor& d_x, bool accumulate_d_x, Tensor& d_weight,
                       bool accumulate_parameters);

}  // namespace trireme::ops
