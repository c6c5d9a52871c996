#include "core/optim/optimizer_config.h"

namespace trireme {

void OptimizerConfig::fields(FieldVisitor& visitor) {
  using KindNames = std::pair<const char*, OptimizerKind>;
  using StyleNames = std::pair<const char*, LrDecayStyle>;
  static constexpr KindNames kKinds[] = {{"adamw", OptimizerKind::kAdamW},
                                         {"adam", OptimizerKind::kAdam},
                                         {"adagrad", OptimizerKind::kAdagrad},
                                         {"rmsprop", OptimizerKind::kRmsProp},
                                         {"sgd", OptimizerKind::kSgd}};
  static constexpr StyleNames kStyles[] = {
      {"constant", LrDecayStyle::kConstant}, {"linear", LrDecayStyle::kLinear},
      {"cosine", LrDecayStyle::kCosine},     {"inverse-square-root", LrDecayStyle::kInverseSquareRoot},
      {"WSD", LrDecayStyle::kWsd},           {"noam", LrDecayStyle::kNoam}};
  visitor.visit_choice({"optimizer", "How weights follow gradients."}, optimizer,
                       std::span<const KindNames>(kKinds));
  visitor.visit({"lr", "Highest learning rate.", "", 0.0}, lr);
  visitor.visit({"min_lr", "Learning rate at the end of the decay.", "", 0.0}, min_lr);
  visitor.visit_choice({"lr_decay_style",
                        "Schedule after the warm-up. noam (the original Transformer's): noam_factor x "
                        "noam_model_size^-0.5 x min(step^-0.5, step x lr_warmup_iters^-1.5), without lr."},
                       lr_decay_style, std::span<const StyleNames>(kStyles));
  visitor.visit({"lr_warmup_iters", "Linear warm-up from 0.", "steps", 0}, lr_warmup_iters);
  visitor.visit({"lr_decay_iters", "Step at which min_lr is reached; 0: training.train_iters.", "steps", 0},
                lr_decay_iters);
  visitor.visit({"lr_wsd_decay_iters", "Length of WSD's last, falling part.", "steps", 0},
                lr_wsd_decay_iters);
  visitor.visit({"noam_factor", "Height of the schedule noam.", "", 1e-9}, noam_factor);
  visitor.visit({"noam_model_size", "d_model of the schedule noam; 0: model.hidden_size.", "", 0},
                noam_model_size);
  visitor.visit({"weight_decay",
                 "Decay of matrices: decoupled in adamw, added to the gradient (L2) in the others; norms and "
                 "biases have none.",
                 "", 0.0},
                weight_decay);
  visitor.visit({"adam_beta1", "Decay of Adam's first moment.", "", 0.0, 0.999999}, adam_beta1);
  visitor.visit({"adam_beta2", "Decay of Adam's second moment.", "", 0.0, 0.999999}, adam_beta2);
  visitor.visit({"adam_eps", "Added to the root of Adam's second moment.", "", 0.0}, adam_eps);
  visitor.visit({"adam_bias_correction",
                 "Divide Adam's moments by 1 - beta^step; false with adamw is the optimizer of BERT."},
                adam_bias_correction);
  visitor.visit({"adagrad_eps", "Added to the root of Adagrad's sum of squares.", "", 1e-30}, adagrad_eps);
  visitor.visit({"rmsprop_alpha", "Decay of RMSProp's mean of squares.", "", 0.0, 0.999999}, rmsprop_alpha);
  visitor.visit({"rmsprop_eps", "Added to the root of RMSProp's mean of squares.", "", 1e-30}, rmsprop_eps);
  visitor.visit({"rmsprop_momentum", "Momentum of rmsprop; 0: none.", "", 0.0, 0.999999}, rmsprop_momentum);
  visitor.visit({"rmsprop_centered", "RMSProp divides by the root of the variance of gradients."},
                rmsprop_centered);
  visitor.visit({"sgd_momentum", "Momentum of sgd; 0: none.", "", 0.0, 0.999999}, sgd_momentum);
  visitor.visit({"clip_grad", "Largest global norm of the gradients; 0: off.", "", 0.0}, clip_grad);
  visitor.visit({"ema_decay",
                 "Keep a moving average of the weights, average = ema_decay x average + (1 - ema_decay) x "
                 "weights after every step; checkpoints hold it. 0: none.",
                 "", 0.0, 0.9999999},
                ema_decay);
}

const char* name_of(Precision precision) {
  switch (precision) {
    case Precision::kFp32:
      return "fp32";
    case Precision::kBf16:
      return "bf16";
    case Precision::kFp16:
      return "fp16";
    case Precision::kFp64:
      break;
  }
  return "fp64";
}

DType PrecisionConfig::compute() const {
  switch (dtype) {
    case Precision::kBf16:
      return DType::kBFloat16;
    case Precision::kFp16:
      return DType::kFloat16;
    case Precision::kFp64:
      return DType::kFloat64;
    case Precision::kFp32:
      break;
  }
  return DType::kFloat32;
}

DType PrecisionConfig::master() const {
  return dtype == Precision::kFp64 ? DType::kFloat64 : DType::kFloat32;
}

void PrecisionConfig::fields(FieldVisitor& visitor) {
  using Names = std::pair<const char*, Precision>;
  static constexpr Names kNames[] = {{"fp32", Precision::kFp32},
                                     {"bf16", Precision::kBf16},
                                     {"fp16", Precision::kFp16},
                                     {"fp64", Precision::kFp64}};
  visitor.visit_choice(
      {"dtype", "fp32; bf16 or fp16 with fp32 master weights; fp64 (slow, for verification)."}, dtype,
      std::span<const Names>(kNames));
  visitor.visit({"loss_scale", "Constant loss scale of fp16; 0: dynamic.", "", 0.0, 1e12}, loss_scale);
  visitor.visit({"initial_loss_scale", "First dynamic loss scale of fp16.", "", 1.0, 1e12},
                initial_loss_scale);
  visitor.visit({"min_loss_scale", "Smallest dynamic loss scale of fp16.", "", 1.0, 1e12}, min_loss_scale);
  visitor.visit(
      {"loss_scale_window", "Finite steps in a row after which the loss scale doubles.", "steps", 1},
      loss_scale_window);
  visitor.visit(
      {"hysteresis", "Steps that are not finite, since the last growth, before the loss scale halves.",
       "steps", 1},
      hysteresis);
}

}  // namespace trireme
