#pragma once

#include "core/ops/cross_entropy.h"

namespace trireme::ops::reference {

void softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                           const double* gradient_scale);

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit);

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale);

}  // namespace trireme::ops::reference
