#pragma once

#include "core/autograd/variable.h"
#include "core/ops/dropout.h"

namespace trireme {

/// y = dropout(x); x itself where the probability is 0.
Variable dropout(Context& context, const ops::DropoutOptions& options, const Variable& x);

/// y = residual + dropout(x).
Variable dropout_add(Context& context, const ops::DropoutOptions& options, const Variable& x,
                     const Variable& residual);

}  // namespace trireme
