#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

/// y[.., out] = x[.., in] W^T + b, with W [out, in] and b [out] (null: none). dX = dY W, dW = dY^T X, db =
/// sum of dY's rows; the last two are pushed to `context.weight_gradients`.
Variable linear(Context& context, const Variable& x, Parameter& weight, Parameter* bias);

}  // namespace trireme
