#include "core/ops/norm.h"

#include "core/ops/checks.h"
#include "core/ops/cpu/norm.h"
#include "core/ops/reference/norm.h"

namespace trireme::ops {
namespace {

/// One value per row, or one per column, in the wide type.
void check_wide_vector(const char* op, const char* argument, const Tensor& tensor, int64_t length,
                       const Tensor& x) {
  check_shape(op, argument, tensor, {length});
  check_dtype(op, argument, tensor, wide_dtype(x.dtype()));
}

void check_weight(const char* op, const char* argument, const Tensor& weight, const Tensor& x) {
  check_shape(op, argument, weight, {x.cols()});
  check_dtype(op, argument, weight, x.dtype());
}

}  // namespace

void layer_norm_forward(Context& context, const Tensor& x, const Tensor& weight, const Tensor* bias,
                        double eps, Tensor& y, Tensor& mean, Tensor& rstd) {
  const char* op = "layer_norm_forward";
  check_floating(op, "x", x);
  check_weight(op, "weight", weight, x);
  if (bias != nullptr) check_weight(op, "bias", *bias, x);
  check_like(op, "y", y, "x", x);
  check_wide_vector(op, "mean", mean, x.rows(), x);
  check_wide_vector(op, "rstd", rstd, x.rows(), x);
  const TraceSpan span(context.trace, "op/layer_norm_forward");
  (use_reference(context, x.dtype()) ? reference::layer_norm_forward : cpu::layer_norm_forward)(
      context, x, weight, bias, eps, y, mean, rstd);
}

void layer_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                         const Tensor& mean, const Tensor& rstd, Tensor& d_x, bool accumulate_d_x,
                         Tensor& d_weight, Tensor* d_bias, bool accumulate_parameters) {
  const char* op = "layer_norm_backward";
  check_floating(op, "x", x);
  check_like(op, "d_y", d_y, "x", x);
  check_weight(op, "weight", weight, x);
  check_wide_vector(op, "mean", mean, x.rows(), x);
  check_wide_vector(op, "rstd", rstd, x.rows(), x);
  check_like(op, "d_x", d_x, "x", x);
  check_wide_vector(op, "d_weight", d_weight, x.cols(), x);
  if (d_bias != nullptr) check_wide_vector(op, "d_bias", *d_bias, x.cols(), x);
  const TraceSpan span(context.trace, "op/layer_norm_backward");
  (use_reference(context, x.dtype()) ? reference::layer_norm_backward : cpu::layer_norm_backward)(
      context, d_y, x, weight, mean, rstd, d_x, accumulate_d_x, d_weight, d_bias, accumulate_parameters);
}

void rms_norm_forward(Context& context, const Tensor& x, const Tensor& weight, double eps, Tensor& y,
                      Tensor& rstd) {
  const char* op = "rms_norm_forward";
  check_floating(op, "x", x);
  check_weight(op, "weight", weight, x);
  check_like(op, "y", y, "x", x);
  check_wide_vector(op, "rstd", rstd, x.rows(), x);
  const TraceSpan span(context.trace, "op/rms_norm_forward");
  (use_reference(context, x.dtype()) ? reference::rms_norm_forward : cpu::rms_norm_forward)(
      context, x, weight, eps, y, rstd);
}

void rms_norm_backward(Context& context, const Tensor& d_y, const Tensor& x, const Tensor& weight,
                       const Tensor& rstd, Tensor& d_x, bool accumulate_d_x, Tensor& d_weight,
                       bool accumulate_parameters) {
  const char* op = "rms_norm_backward";
  check_floating(op, "x", x);
  check_like(op, "d_y", d_y, "x", x);
  check_weight(op, "weight", weight, x);
  check_wide_vector(op, "rstd", rstd, x.rows(), x);
  check_like(op, "d_x", d_x, "x", x);
  check_wide_vector(op, "d_weight", d_weight, x.cols(), x);
  const TraceSpan span(context.trace, "op/rms_norm_backward");
  (use_reference(context, x.dtype()) ? reference::rms_norm_backward : cpu::rms_norm_backward)(
      context, d_y, x, weight, rstd, d_x, accumulate_d_x, d_weight, accumulate_parameters);
}

}  // namespace trireme::ops
