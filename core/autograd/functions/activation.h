#pragma once

#include "core/autograd/variable.h"
#include "core/ops/activation.h"

namespace trireme {

/// y = f(x), element by element. Keeps x, from which y has a recipe.
Variable activation(Context& context, ops::Activation kind, const Variable& x);

/// y[rows, F] = silu(gate) * up, with gate_up [rows, 2F] = [gate | up] from one packed projection. Keeps
/// gate_up, from which y has a recipe.
Variable swiglu(Context& context, const Variable& gate_up);

}  // namespace trireme
