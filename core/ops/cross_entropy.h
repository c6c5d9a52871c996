#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

inline constexpr int32_t kIgnoredTarget = -1;

/// Softmax cross-entropy over rows of logits [rows, V]; targets int32 [rows], kIgnoredTarget rows count
/// nothing. losses [rows] float32 (float64 for float64): -log softmax(logits)[target], 0 where ignored. When
/// `gradient_scale` is not null, logits are overwritten by scale * (softmax - onehot(target)), 0 where
/// ignored. Throws DataError naming the row when a target is outside [0, V).
void softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                           const double* gradient_scale);

/// The same in two halves, for logits that hold only [vocab_begin, vocab_begin + V) of the vocabulary. Per
/// row: maximum, sum of exp(logit - maximum), and the target's logit where it is in range (else 0). All
/// [rows] float32 (float64). Partial results merge with max / scaled sum / sum; log_sum_exp = maximum +
/// log(sum).
void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit);
/// logits = scale * (exp(logits - log_sum_exp) - onehot(target - vocab_begin)), 0 where ignored.
void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale);

}  // namespace trireme::ops
