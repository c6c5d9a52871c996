#pragma once

#include "core/base/fields.h"
#include "core/tensor/dtype.h"

namespace trireme {

enum class OptimizerKind { kAdamW, kSgd };
enum class LrDecayStyle { kConstant, kLinear, kCosine, kInverseSquareRoot, kWsd };

/// Section `optimizer`.
struct OptimizerConfig {
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double lr = 3e-4;
  double min_lr = 0.0;
  LrDecayStyle lr_decay_style = LrDecayStyle::kCosine;
  int64_t lr_warmup_iters = 0;
  int64_t lr_decay_iters = 0;      ///< 0: training.train_iters
  int64_t lr_wsd_decay_iters = 0;  ///< length of WSD's last part
  double weight_decay = 0.1;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double adam_eps = 1e-8;
  double sgd_momentum = 0.9;
  double clip_grad = 1.0;  ///< 0: off

  void fields(FieldVisitor& visitor);
};

enum class Precision { kFp32, kBf16, kFp64 };

/// Section `precision`. fp32: everything float32. bf16: bfloat16 weights, activations and products; float32
/// master weights, gradients and optimizer state. fp64: everything float64 through the reference kernels.
struct PrecisionConfig {
  Precision dtype = Precision::kFp32;

  DType compute() const;  ///< of weights in products and of activations
  DType master() const;   ///< of master weights, gradients, reductions and optimizer state
  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
