#pragma once

#include "core/optim/optimizer_config.h"

namespace trireme {

/// Learning rate of optimizer step `step` (from 1), a pure function: linear warm-up to lr over
/// lr_warmup_iters steps, then constant, linear (BERT's, with min_lr 0) or cosine decay to min_lr at
/// lr_decay_iters, inverse square root (lr * sqrt(warmup) / sqrt(step); Vaswani et al. 2017), or WSD
/// (constant, then linear decay over the last lr_wsd_decay_iters). noam stands alone (Vaswani et al. 2017,
/// eq. 3): noam_factor * noam_model_size^-0.5 * min(step^-0.5, step * lr_warmup_iters^-1.5). train_iters
/// stands in for lr_decay_iters = 0.
double learning_rate(const OptimizerConfig& config, int64_t train_iters, int64_t step);

}  // namespace trireme
