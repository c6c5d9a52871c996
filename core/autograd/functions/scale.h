#pragma once

#include "core/autograd/variable.h"

namespace trireme {

/// y = factor * x.
Variable scale(Context& context, const Variable& x, double factor);

/// y = x + table[ids] with a table that has no gradient: [rows of ids, D]. ids int32, one a row of x.
Variable add_constant_rows(Context& context, const Variable& x, const Tensor& table, const Tensor& ids);

}  // namespace trireme
