#pragma once

#include "core/ops/cross_entropy.h"

namespace trireme::ops::cpu {

int64_t softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                              const double* gradient_scale, const TargetDistribution& q);

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit,
                              Tensor* logit_sum);

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale, const TargetDistribution& q);

}  // namespace trireme::ops::cpu
