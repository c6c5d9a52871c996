#pragma once

#include "core/ops/dropout.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/dropout.cpp.
namespace trireme::ops::reference {

void dropout(Context& context, const DropoutOptions& options, const Tensor& x, const Tensor* residual,
             Tensor& y);

}  // namespace trireme::ops::reference
