#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

inline constexpr int32_t kIgnoredTarget = -1;

/// Label smoothing, Szegedy et al. 2016 (arXiv 1512.00567, section 7), in its three public forms.
enum class SmoothingForm {
  kUniform,          ///< eps / V on every class, the target included (PyTorch)
  kOthers,           ///< eps / (V - 1) on every class but the target (fairseq)
  kOthersNormalized  ///< the same, less that distribution's entropy: a perfect prediction costs 0
                     ///< (Tensor2Tensor)
};

struct LabelSmoothing {
  SmoothingForm form = SmoothingForm::kUniform;
  double epsilon = 0.0;  ///< in [0, 1); 0: off
};

/// What the prediction is compared with: q = on_target at the target, on_others everywhere else. The loss is
/// -sum q log p - entropy = log_sum_exp - (on_target - on_others) logit[target] - on_others sum(logits) -
/// entropy, its gradient p - q.
struct TargetDistribution {
  double on_target = 1.0;
  double on_others = 0.0;
  double entropy = 0.0;
  bool smoothed() const { return on_others != 0.0; }
};
/// Throws ConfigError when epsilon is outside [0, 1).
TargetDistribution target_distribution(const LabelSmoothing& smoothing, int64_t vocab_size);

/// Softmax cross-entropy over rows of logits [rows, V]; targets int32 [rows], kIgnoredTarget rows count
/// nothing. losses [rows] float32 (float64 for float64): that of TargetDistribution, 0 where ignored. When
/// `gradient_scale` is not null, logits are overwritten by scale * (softmax - q), 0 where ignored. Returns
/// how many targets were predicted right: no logit above the target's. Throws DataError naming the row when
/// a target is outside [0, V).
int64_t softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                              const double* gradient_scale, const TargetDistribution& q = {});

/// The same in two halves, for logits that hold only [vocab_begin, vocab_begin + V) of the vocabulary. Per
/// row: maximum, sum of exp(logit - maximum), the target's logit where it is in range (else 0), and the sum
/// of all logits when asked for (smoothing needs it). All [rows] float32 (float64). Partial results merge
/// with max / scaled sum / sum / sum; log_sum_exp = maximum + log(sum).
void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit,
                              Tensor* logit_sum = nullptr);
/// logits = scale * (exp(logits - log_sum_exp) - q), 0 where ignored; q is that of the whole vocabulary.
void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale, const TargetDistribution& q = {});

}  // namespace trireme::ops
