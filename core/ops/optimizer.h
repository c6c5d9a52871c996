#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// AdamW, Loshchilov and Hutter 2019, with bias correction (Kingma and Ba 2015), as in PyTorch:
/// w *= 1 - lr * decay; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; w -= lr * mhat / (sqrt(vhat) + eps).
struct AdamWOptions {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  int64_t step = 1;           ///< of the optimizer, from 1
  double gradient_scale = 1;  ///< multiplies every gradient first: clip factor times inverse loss scale
};

/// One pass over contiguous tensors of equal length: weights, gradient, first and second moment (float32, or
/// all float64). `low_precision` (bfloat16 or float16), when given, receives the rounded new weights in the
/// same pass.
void adamw(Context& context, const AdamWOptions& options, Tensor& weights, const Tensor& gradient,
           Tensor& first_moment, Tensor& second_moment, Tensor* low_precision);

/// SGD with momentum, as in PyTorch (dampening 0): g += decay * w; buffer = momentum * buffer + g (buffer = g
/// at step 1); w -= lr * (g + momentum * buffer when nesterov, else buffer).
struct SgdOptions {
  double lr = 0;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  int64_t step = 1;
  double gradient_scale = 1;
};

/// `momentum_buffer` is null when momentum is 0.
void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision);

}  // namespace trireme::ops
