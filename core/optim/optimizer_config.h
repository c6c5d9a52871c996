#pragma once

#include "core/base/fields.h"
#include "core/tensor/dtype.h"

namespace trireme {

enum class OptimizerKind { kAdamW, kAdam, kAdagrad, kRmsProp, kSgd };
enum class LrDecayStyle { kConstant, kLinear, kCosine, kInverseSquareRoot, kWsd, kNoam };

/// Section `optimizer`.
struct OptimizerConfig {
  OptimizerKind optimizer = OptimizerKind::kAdamW;
  double lr = 3e-4;
  double min_lr = 0.0;
  LrDecayStyle lr_decay_style = LrDecayStyle::kCosine;
  int64_t lr_warmup_iters = 0;
  int64_t lr_decay_iters = 0;      ///< 0: training.train_iters
  int64_t lr_wsd_decay_iters = 0;  ///< length of WSD's last part
  double noam_factor = 1.0;
  int64_t noam_model_size = 0;  ///< 0: model.hidden_size, which plan_run fills in
  double weight_decay = 0.1;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double adam_eps = 1e-8;
  bool adam_bias_correction = true;  ///< false: BERT's Adam
  double adagrad_eps = 1e-10;
  double rmsprop_alpha = 0.99;
  double rmsprop_eps = 1e-8;
  double rmsprop_momentum = 0.0;
  bool rmsprop_centered = false;
  double sgd_momentum = 0.9;
  double clip_grad = 1.0;  ///< 0: off
  double ema_decay = 0.0;  ///< of the moving average of weights; 0: none

  void fields(FieldVisitor& visitor);
};

enum class Precision { kFp32, kBf16, kFp16, kFp64 };
const char* name_of(Precision precision);

/// Section `precision`. fp32: everything float32. bf16, fp16: 16-bit weights, activations and products;
/// float32 master weights, gradients and optimizer state; fp16 scales its loss (core/optim/loss_scaler.h).
/// fp64: everything float64 through the reference kernels.
struct PrecisionConfig {
  Precision dtype = Precision::kFp32;
  // The loss scale, of fp16 only.
  double loss_scale = 0;               ///< constant; 0: dynamic
  double initial_loss_scale = 0x1p16;  ///< Micikevicius et al. used 8 to 32K; Megatron-LM starts at 2^32
  double min_loss_scale = 1;
  int64_t loss_scale_window = 1000;  ///< finite steps in a row until it doubles
  int64_t hysteresis = 2;            ///< steps that are not finite until it halves

  DType compute() const;  ///< of weights in products and of activations
  DType master() const;   ///< of master weights, gradients, reductions and optimizer state
  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
