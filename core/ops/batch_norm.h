#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// BatchNorm, Ioffe and Szegedy 2015, over the rows of x [rows, C] that count: those where `counted` (int32
/// [rows], undefined: all) is not 0. The others get zeros and no gradient, and what they hold changes
/// nothing. Each pass comes in two halves with sums between them, which data-parallel ranks add up. Sums are
/// float64 and in row order; mean and rstd [C] are float32 (float64), weight and bias [C] have the type of x.
/// Throw ShapeError.

/// sums [2C + 1]: of x, of x^2, and the number of rows that count.
void batch_norm_sums(Context& context, const Tensor& x, const Tensor& counted, Tensor& sums);
/// Mean and (biased variance + eps)^-1/2. Throws DataError when no row counts.
void batch_norm_statistics(Context& context, const Tensor& sums, double eps, Tensor& mean, Tensor& rstd);
/// y = (x - mean) * rstd * weight + bias.
void batch_norm_forward(Context& context, const Tensor& x, const Tensor& counted, const Tensor& mean,
                        const Tensor& rstd, const Tensor& weight, const Tensor& bias, Tensor& y);

/// running = (1 - momentum) running + momentum * (mean, unbiased variance), as in PyTorch; float32 (float64)
/// [C]. Throws DataError when fewer than two rows count.
void update_running_statistics(Context& context, const Tensor& sums, double momentum, Tensor& running_mean,
                               Tensor& running_variance);
/// The statistics of inference: mean and (running_variance + eps)^-1/2.
void running_statistics(Context& context, const Tensor& running_mean, const Tensor& running_variance,
                        double eps, Tensor& mean, Tensor& rstd);

/// sums [2C]: of d_y, which is the gradient of bias, and of d_y * xhat, that of weight.
void batch_norm_backward_sums(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& counted,
                              const Tensor& mean, const Tensor& rstd, Tensor& sums);
/// d_x = weight * rstd * (d_y - (sum(d_y) + xhat * sum(d_y * xhat)) / count), with the sums and the count of
/// all ranks; d_x = weight * rstd * d_y where `sums` is null: mean and rstd are constants.
void batch_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& counted,
                         const Tensor& mean, const Tensor& rstd, const Tensor& weight, const Tensor* sums,
                         double count, Tensor& d_x);

}  // namespace trireme::ops
