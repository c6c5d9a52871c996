#pragma once

#include "core/ops/activation.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/activation.cpp.
namespace trireme::ops::cpu {

void activation_forward(Context& context, Activation activation, const Tensor& x, Tensor& y);
void activation_backward(Context& context, Activation activation, const Tensor& d_y, const Tensor& x,
                         Tensor& d_x);
void swiglu_forward(Context& context, const Tensor& gate_up, Tensor& y);
void swiglu_backward(Context& context, const Tensor& d_y, const Tensor& gate_up, Tensor& d_gate_up);

}  // namespace trireme::ops::cpu
