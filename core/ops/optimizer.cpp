#include "core/ops/optimizer.h"

#include <fmt/format.h>

#include "core/ops/checks.h"
#include "core/ops/cpu/optimizer.h"
#include "core/ops/reference/optimizer.h"

namespace trireme::ops {
namespace {

void check_weights(const char* op, const Tensor& weights) {
  check_floating(op, "weights", weights);
  check_dtype(op, "weights", weights, wide_dtype(weights.dtype()));
  check_contiguous(op, "weights", weights);
}

void check_step(const char* op, int64_t step) {
  if (step < 1) throw_shape_error(op, "step", fmt::format("is {}", step), "at least 1");
}

/// Same length and type as the weights, contiguous.
void check_companion(const char* op, const char* argument, const Tensor& tensor, const Tensor& weights) {
  check_like(op, argument, tensor, "weights", weights);
  check_contiguous(op, argument, tensor);
}

void check_momentum(const char* op, const Tensor* momentum_buffer, double momentum, const Tensor& weights) {
  if ((momentum_buffer == nullptr) != (momentum == 0.0))
    throw_shape_error(op, "momentum_buffer", momentum_buffer == nullptr ? "is missing" : "is given",
                      fmt::format("a buffer exactly when momentum is not 0 (it is {})", momentum));
  if (momentum_buffer != nullptr) check_companion(op, "momentum_buffer", *momentum_buffer, weights);
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

void adam(Context& context, const AdamOptions& options, Tensor& weights, const Tensor& gradient,
          Tensor& first_moment, Tensor& second_moment, Tensor* low_precision) {
  check_weights("adam", weights);
  check_step("adam", options.step);
  check_companion("adam", "gradient", gradient, weights);
  check_companion("adam", "first_moment", first_moment, weights);
  check_companion("adam", "second_moment", second_moment, weights);
  check_low_precision("adam", low_precision, weights);
  const TraceSpan span(context.trace, "op/adam");
  (use_plain_loops(context, weights, low_precision) ? reference::adam : cpu::adam)(
      context, options, weights, gradient, first_moment, second_moment, low_precision);
}

void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision) {
  check_weights("sgd", weights);
  check_step("sgd", options.step);
  check_companion("sgd", "gradient", gradient, weights);
  check_momentum("sgd", momentum_buffer, options.momentum, weights);
  check_low_precision("sgd", low_precision, weights);
  const TraceSpan span(context.trace, "op/sgd");
  (use_plain_loops(context, weights, low_precision) ? reference::sgd : cpu::sgd)(
      context, options, weights, gradient, momentum_buffer, low_precision);
}

void adagrad(Context& context, const AdagradOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& sum, Tensor* low_precision) {
  check_weights("adagrad", weights);
  check_companion("adagrad", "gradient", gradient, weights);
  check_companion("adagrad", "sum", sum, weights);
  check_low_precision("adagrad", low_precision, weights);
  const TraceSpan span(context.trace, "op/adagrad");
  (use_plain_loops(context, weights, low_precision) ? reference::adagrad : cpu::adagrad)(
      context, options, weights, gradient, sum, low_precision);
}

void rmsprop(Context& context, const RmsPropOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& square_average, Tensor* gradient_average, Tensor* momentum_buffer,
             Tensor* low_precision) {
  check_weights("rmsprop", weights);
  check_companion("rmsprop", "gradient", gradient, weights);
  check_companion("rmsprop", "square_average", square_average, weights);
  if (gradient_average != nullptr) check_companion("rmsprop", "gradient_average", *gradient_average, weights);
  check_momentum("rmsprop", momentum_buffer, options.momentum, weights);
  check_low_precision("rmsprop", low_precision, weights);
  const TraceSpan span(context.trace, "op/rmsprop");
  (use_plain_loops(context, weights, low_precision) ? reference::rmsprop : cpu::rmsprop)(
      context, options, weights, gradient, square_average, gradient_average, momentum_buffer, low_precision);
}

void moving_average(Context& context, double decay, const Tensor& weights, Tensor& average) {
  check_weights("moving_average", weights);
  check_companion("moving_average", "average", average, weights);
  const TraceSpan span(context.trace, "op/moving_average");
  (use_plain_loops(context, weights, nullptr) ? reference::moving_average : cpu::moving_average)(
      context, decay, weights, average);
}

}  // namespace trireme::ops
