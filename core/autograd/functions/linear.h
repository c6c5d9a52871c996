#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

/// y[.., out] = x[.., in] W^T + b, with W [out, in] and b [out] (null: none). dX = dY W, dW = dY^T X, db =
/// sum of dY's rows; the last two are pushed to `context.weight_gradients`. Keeps x, or its recipe.
Variable linear(Context& context, const Variable& x, Parameter& weight, Parameter* bias);

/// The parts of a backward pass that may be left for later: dW += dY^T X, and db += the sum of dY's rows
/// (nothing for a null bias). Matrices.
void contribute_weight(Context& context, Parameter& weight, const Tensor& d_y, const Tensor& x);
void contribute_bias(Context& context, Parameter* bias, const Tensor& d_y);

}  // namespace trireme
