#pragma once

#include "core/ops/rotary.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/rotary.cpp.
namespace trireme::ops::reference {

void rotary(Context& context, const RotaryOptions& options, const Tensor& positions, Tensor& x, bool inverse);

}  // namespace trireme::ops::reference
