#include "core/ops/cross_entropy.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/cpu/cross_entropy.h"
#include "core/ops/reference/cross_entropy.h"

namespace trireme::ops {
namespace {

void check_rows(const char* op, const char* argument, const Tensor& tensor, const Tensor& logits,
                DType dtype) {
  check_shape(op, argument, tensor, {logits.rows()});
  check_dtype(op, argument, tensor, dtype);
  check_contiguous(op, argument, tensor);
}

void check_logits(const char* op, const Tensor& logits, const Tensor& targets) {
  check_floating(op, "logits", logits);
  if (logits.dim() != 2 || logits.cols() < 1)
    throw_shape_error(op, "logits", "has shape " + to_string(logits.shape()), "[rows, vocabulary]");
  check_rows(op, "targets", targets, logits, DType::kInt32);
}

void check_per_row(const char* op, const char* argument, const Tensor& tensor, const Tensor& logits) {
  check_rows(op, argument, tensor, logits, wide_dtype(logits.dtype()));
}

void check_targets(const char* op, const Tensor& targets, int64_t vocabulary) {
  for (int64_t row = 0; row < targets.size(0); ++row) {
    const int32_t target = targets.data<int32_t>()[row];
    if (target != kIgnoredTarget && (target < 0 || target >= vocabulary))
      throw DataError(
          fmt::format("{}: the target of row {} is {}, outside the vocabulary of {}; was the data "
                      "made with another tokenizer?",
                      op, row, target, vocabulary));
  }
}

}  // namespace

TargetDistribution target_distribution(const LabelSmoothing& smoothing, int64_t vocab_size) {
  const double epsilon = smoothing.epsilon;
  if (!(epsilon >= 0.0 && epsilon < 1.0))
    throw ConfigError(fmt::format("label_smoothing is {}; expected a number in [0, 1)", epsilon));
  TargetDistribution q;
  if (epsilon == 0.0) return q;
  const auto classes = static_cast<double>(vocab_size);
  if (smoothing.form == SmoothingForm::kUniform) {
    q.on_others = epsilon / classes;
    q.on_target = 1.0 - epsilon + q.on_others;
    return q;
  }
  if (vocab_size < 2) return q;  // there is no other class
  q.on_others = epsilon / (classes - 1.0);
  q.on_target = 1.0 - epsilon;
  if (smoothing.form == SmoothingForm::kOthersNormalized)
    q.entropy = -q.on_target * std::log(q.on_target) - epsilon * std::log(q.on_others);
  return q;
}

int64_t softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                              const double* gradient_scale, const TargetDistribution& q) {
  const TraceSpan span(context.trace, "op/cross_entropy");
  constexpr const char* kOp = "softmax_cross_entropy";
  check_logits(kOp, logits, targets);
  check_per_row(kOp, "losses", losses, logits);
  check_targets(kOp, targets, logits.cols());
  return (use_reference(context, logits.dtype())
              ? reference::softmax_cross_entropy
              : cpu::softmax_cross_entropy)(context, logits, targets, losses, gradient_scale, q);
}

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit,
                              Tensor* logit_sum) {
  const TraceSpan span(context.trace, "op/cross_entropy_statistics");
  constexpr const char* kOp = "cross_entropy_statistics";
  check_logits(kOp, logits, targets);
  check_per_row(kOp, "maximum", maximum, logits);
  check_per_row(kOp, "exp_sum", exp_sum, logits);
  check_per_row(kOp, "target_logit", target_logit, logits);
  if (logit_sum != nullptr) check_per_row(kOp, "logit_sum", *logit_sum, logits);
  check_targets(kOp, targets, std::numeric_limits<int32_t>::max());
  (use_reference(context, logits.dtype()) ? reference::cross_entropy_statistics
                                          : cpu::cross_entropy_statistics)(
      context, logits, targets, vocab_begin, maximum, exp_sum, target_logit, logit_sum);
}

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale, const TargetDistribution& q) {
  const TraceSpan span(context.trace, "op/cross_entropy_gradient");
  constexpr const char* kOp = "cross_entropy_gradient";
  check_logits(kOp, logits, targets);
  check_per_row(kOp, "log_sum_exp", log_sum_exp, logits);
  (use_reference(context, logits.dtype()) ? reference::cross_entropy_gradient : cpu::cross_entropy_gradient)(
      context, logits, targets, vocab_begin, log_sum_exp, scale, q);
}

}  // namespace trireme::ops
