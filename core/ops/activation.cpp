#include "core/ops/activation.h"

#include "core/ops/checks.h"
#include "core/ops/cpu/activation.h"
#include "core/ops/reference/activation.h"

namespace trireme::ops {
namespace {

/// gate_up holds two halves beside each other: the columns of `half`, twice.
void check_two_halves(const char* op, const char* argument, const Tensor& tensor, const Tensor& half) {
  Shape expected = half.shape();
  expected.back() *= 2;
  check_shape(op, argument, tensor, expected);
  check_dtype(op, argument, tensor, half.dtype());
}

}  // namespace

void activation_forward(Context& context, Activation activation, const Tensor& x, Tensor& y) {
  check_floating("activation_forward", "x", x);
  check_like("activation_forward", "y", y, "x", x);
  const TraceSpan span(context.trace, "op/activation_forward");
  (use_reference(context, x.dtype()) ? reference::activation_forward : cpu::activation_forward)(
      context, activation, x, y);
}

void activation_backward(Context& context, Activation activation, const Tensor& d_y, const Tensor& x,
                         Tensor& d_x) {
  check_floating("activation_backward", "x", x);
  check_like("activation_backward", "d_y", d_y, "x", x);
  check_like("activation_backward", "d_x", d_x, "x", x);
  const TraceSpan span(context.trace, "op/activation_backward");
  (use_reference(context, x.dtype()) ? reference::activation_backward : cpu::activation_backward)(
      context, activation, d_y, x, d_x);
}

void swiglu_forward(Context& context, const Tensor& gate_up, Tensor& y) {
  check_floating("swiglu_forward", "y", y);
  check_two_halves("swiglu_forward", "gate_up", gate_up, y);
  const TraceSpan span(context.trace, "op/swiglu_forward");
  (use_reference(context, y.dtype()) ? reference::swiglu_forward : cpu::swiglu_forward)(context, gate_up, y);
}

void swiglu_backward(Context& context, const Tensor& d_y, const Tensor& gate_up, Tensor& d_gate_up) {
  check_floating("swiglu_backward", "d_y", d_y);
  check_two_halves("swiglu_backward", "gate_up", gate_up, d_y);
  check_like("swiglu_backward", "d_gate_up", d_gate_up, "gate_up", gate_up);
  const TraceSpan span(context.trace, "op/swiglu_backward");
  (use_reference(context, d_y.dtype()) ? reference::swiglu_backward : cpu::swiglu_backward)(
      context, d_y, gate_up, d_gate_up);
}

}  // namespace trireme::ops
