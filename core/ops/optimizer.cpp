#include "core/ops/optimizer.h"

#include <fmt/format.h>

#include "core/ops/checks.h"
#include "core/ops/cpu/optimizer.h"
#include "core/ops/reference/optimizer.h"

namespace trireme::ops {
namespace {

void check_weights(const char* op, const Tensor& weights, int64_t step) {
  check_floating(op, "weights", weights);
  check_dtype(op, "weights", weights, wide_dtype(weights.dtype()));
  check_contiguous(op, "weights", weights);
  if (step < 1) throw_shape_error(op, "step", fmt::format("is {}", step), "at least 1");
}

/// Same length and type as the weights, contiguous.
void check_companion(const char* op, const char* argument, const Tensor& tensor, const Tensor& weights) {
  check_like(op, argument, tensor, "weights", weights);
  check_contiguous(op, argument, tensor);
}

void check_low_precision(const char* op, const Tensor* low_precision, const Tensor& weights) {
  if (low_precision == nullptr) return;
  check_floating(op, "low_precision", *low_precision);
  check_shape(op, "low_precision", *low_precision, weights.shape());
  check_contiguous(op, "low_precision", *low_precision);
}

/// Float64 copies come from the plain loops.
bool use_plain_loops(const Context& context, const Tensor& weights, const Tensor* low_precision) {
  return use_reference(context, weights.dtype()) ||
         (low_precision != nullptr && use_reference(context, low_precision->dtype()));
}

}  // namespace

void adamw(Context& context, const AdamWOptions& options, Tensor& weights, const Tensor& gradient,
           Tensor& first_moment, Tensor& second_moment, Tensor* low_precision) {
  check_weights("adamw", weights, options.step);
  check_companion("adamw", "gradient", gradient, weights);
  check_companion("adamw", "first_moment", first_moment, weights);
  check_companion("adamw", "second_moment", second_moment, weights);
  check_low_precision("adamw", low_precision, weights);
  const TraceSpan span(context.trace, "op/adamw");
  (use_plain_loops(context, weights, low_precision) ? reference::adamw : cpu::adamw)(
      context, options, weights, gradient, first_moment, second_moment, low_precision);
}

void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision) {
  check_weights("sgd", weights, options.step);
  check_companion("sgd", "gradient", gradient, weights);
  if ((momentum_buffer == nullptr) != (options.momentum == 0.0))
    throw_shape_error("sgd", "momentum_buffer", momentum_buffer == nullptr ? "is missing" : "is given",
                      fmt::format("a buffer exactly when momentum is not 0 (it is {})", options.momentum));
  if (momentum_buffer != nullptr) check_companion("sgd", "momentum_buffer", *momentum_buffer, weights);
  check_low_precision("sgd", low_precision, weights);
  const TraceSpan span(context.trace, "op/sgd");
  (use_plain_loops(context, weights, low_precision) ? reference::sgd : cpu::sgd)(
      context, options, weights, gradient, momentum_buffer, low_precision);
}

}  // namespace trireme::ops
