#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// Adam (Kingma and Ba 2015, algorithm 1) and AdamW (Loshchilov and Hutter 2019), as in PyTorch:
/// m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; w -= lr * mhat / (sqrt(vhat) + eps), with mhat = m / (1 -
/// b1^step) and vhat = v / (1 - b2^step). Without bias correction mhat = m and vhat = v (BERT's optimizer).
/// Decoupled decay: w *= 1 - lr * decay first, and the moments do not see it; else g += decay * w.
struct AdamOptions {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  bool decoupled_weight_decay = true;  ///< AdamW
  bool bias_correction = true;
  int64_t step = 1;           ///< of the optimizer, from 1
  double gradient_scale = 1;  ///< multiplies every gradient first: clip factor times inverse loss scale
};

/// One pass over contiguous tensors of equal length: weights, gradient, first and second moment (float32, or
/// all float64). `low_precision` (bfloat16 or float16), when given, receives the rounded new weights in the
/// same pass.
void adam(Context& context, const AdamOptions& options, Tensor& weights, const Tensor& gradient,
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

/// Adagrad (Duchi et al. 2011, the diagonal form), as in PyTorch: g += decay * w; sum += g^2;
/// w -= lr * g / (sqrt(sum) + eps).
struct AdagradOptions {
  double lr = 0;
  double eps = 1e-10;
  double weight_decay = 0;
  double gradient_scale = 1;
};

void adagrad(Context& context, const AdagradOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& sum, Tensor* low_precision);

/// RMSProp (Tieleman and Hinton 2012, lecture 6.5; centered: Graves 2013, eq. 38-45), as in PyTorch:
/// g += decay * w; s = alpha s + (1-alpha) g^2; centered: a = alpha a + (1-alpha) g, and s - a^2 (0 where
/// rounding makes it negative) stands for s in d = g / (sqrt(s) + eps); with momentum: buffer = momentum *
/// buffer + d stands for d in w -= lr * d.
struct RmsPropOptions {
  double lr = 0;
  double alpha = 0.99;
  double eps = 1e-8;
  double momentum = 0;
  double weight_decay = 0;
  double gradient_scale = 1;
};

/// `gradient_average` is given when centered, `momentum_buffer` exactly when momentum is not 0.
void rmsprop(Context& context, const RmsPropOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& square_average, Tensor* gradient_average, Tensor* momentum_buffer,
             Tensor* low_precision);

/// average = decay * average + (1 - decay) * weights: Polyak averaging with exponential weights. Contiguous,
/// of one length and type (float32 or float64).
void moving_average(Context& context, double decay, const Tensor& weights, Tensor& average);

}  // namespace trireme::ops
