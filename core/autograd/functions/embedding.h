#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

/// y[i] = table[ids[i]]: table [V, D], ids int32 of any shape, y [ids, D].
Variable embedding(Context& context, Parameter& table, const Tensor& ids);

/// y[i] = x[i] + table[ids[i]]: a position embedding added to what is there. x [ids, D].
Variable add_embedding(Context& context, const Variable& x, Parameter& table, const Tensor& ids);

}  // namespace trireme
