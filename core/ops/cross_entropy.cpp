#include "core/ops/cross_entropy.h"

#include <fmt/format.h>

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

void softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                           const double* gradient_scale) {
  const TraceSpan span(context.trace, "op/cross_entropy");
  constexpr const char* kOp = "softmax_cross_entropy";
  check_logits(kOp, logits, targets);
  check_per_row(kOp, "losses", losses, logits);
  check_targets(kOp, targets, logits.cols());
  if (use_reference(context, logits.dtype())) {
    reference::softmax_cross_entropy(context, logits, targets, losses, gradient_scale);
  } else {
    cpu::softmax_cross_entropy(context, logits, targets, losses, gradient_scale);
  }
}

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit) {
  const TraceSpan span(context.trace, "op/cross_entropy_statistics");
  constexpr const char* kOp = "cross_entropy_statistics";
  check_logits(kOp, logits, targets);
  check_per_row(kOp, "maximum", maximum, logits);
  check_per_row(kOp, "exp_sum", exp_sum, logits);
  check_per_row(kOp, "target_logit", target_logit, logits);
  check_targets(kOp, targets, std::numeric_limits<int32_t>::max());
  if (use_reference(context, logits.dtype())) {
    reference::cross_entropy_statistics(context, logits, targets, vocab_begin, maximum, exp_sum,
                                        target_logit);
  } else {
    cpu::cross_entropy_statistics(context, logits, targets, vocab_begin, maximum, exp_sum, target_logit);
  }
}

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale) {
  const TraceSpan span(context.trace, "op/cross_entropy_gradient");
  constexpr const char* kOp = "cross_entropy_gradient";
  check_logits(kOp, logits, targets);
  check_per_row(kOp, "log_sum_exp", log_sum_exp, logits);
  if (use_reference(context, logits.dtype())) {
    reference::cross_entropy_gradient(context, logits, targets, vocab_begin, log_sum_exp, scale);
  } else {
    cpu::cross_entropy_gradient(context, logits, targets, vocab_begin, log_sum_exp, scale);
  }
}

}  // namespace trireme::ops
