#pragma once

#include "core/ops/elementwise.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/elementwise.cpp.
namespace trireme::ops::reference {

void add(Context& context, const Tensor& a, const Tensor& b, Tensor& c);
void scale(Context& context, Tensor& x, double factor);
void cast(Context& context, const Tensor& x, Tensor& y);
void fill(Context& context, Tensor& x, double value);

}  // namespace trireme::ops::reference
