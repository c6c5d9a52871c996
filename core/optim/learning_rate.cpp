#include "core/optim/learning_rate.h"

#include <algorithm>
#include <cmath>

namespace trireme {
namespace {

double noam(const OptimizerConfig& config, int64_t step) {
  const auto s = static_cast<double>(step), warmup = static_cast<double>(config.lr_warmup_iters);
  return config.noam_factor / std::sqrt(static_cast<double>(config.noam_model_size)) *
         std::min(1 / std::sqrt(s), s * std::pow(warmup, -1.5));
}

}  // namespace

double learning_rate(const OptimizerConfig& config, int64_t train_iters, int64_t step) {
  if (config.lr_decay_style == LrDecayStyle::kNoam) return noam(config, step);
  const int64_t warmup = config.lr_warmup_iters;
  if (step <= warmup) return config.lr * static_cast<double>(step) / static_cast<double>(warmup);
  const int64_t end = config.lr_decay_iters == 0 ? train_iters : config.lr_decay_iters;
  // How far between `begin` and the end of the decay, 0 to 1.
  const auto progress = [&](int64_t begin) {
    if (step >= end || begin >= end) return step >= end ? 1.0 : 0.0;
    return std::clamp(static_cast<double>(step - begin) / static_cast<double>(end - begin), 0.0, 1.0);
  };
  const double range = config.lr - config.min_lr;
  switch (config.lr_decay_style) {
    case LrDecayStyle::kLinear:
      return config.lr - range * progress(warmup);
    case LrDecayStyle::kCosine:
      return config.min_lr + 0.5 * range * (1.0 + std::cos(M_PI * progress(warmup)));
    case LrDecayStyle::kInverseSquareRoot:
      return std::max(config.min_lr, config.lr * std::sqrt(static_cast<double>(std::max<int64_t>(warmup, 1)) /
                                                           static_cast<double>(step)));
    case LrDecayStyle::kWsd:
      return config.lr - range * progress(end - config.lr_wsd_decay_iters);
    case LrDecayStyle::kConstant:
    case LrDecayStyle::kNoam:
      break;
  }
  return config.lr;
}

}  // namespace trireme
