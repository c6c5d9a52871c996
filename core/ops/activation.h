#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// GELU: Hendrycks and Gimpel 2016, exact with erf, or their tanh form (what GPT-2 uses).
enum class Activation { kGeluTanh, kGeluErf, kRelu, kSigmoid, kTanh };

/// y = f(x); x and y may be the same tensor in no backward.
void activation_forward(Context& context, Activation activation, const Tensor& x, Tensor& y);
/// d_x = d_y * f'(x); d_x may be d_y.
void activation_backward(Context& context, Activation activation, const Tensor& d_y, const Tensor& x,
                         Tensor& d_x);

/// SwiGLU, Shazeer 2020: y[rows, F] = silu(gate) * up, with gate_up [rows, 2F] = [gate | up].
void swiglu_forward(Context& context, const Tensor& gate_up, Tensor& y);
void swiglu_backward(Context& context, const Tensor& d_y, const Tensor& gate_up, Tensor& d_gate_up);

}  // namespace trireme::ops
