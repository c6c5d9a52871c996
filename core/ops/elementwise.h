#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// c = a + b; one type and shape; c may be a or b.
void add(Context& context, const Tensor& a, const Tensor& b, Tensor& c);
/// x *= factor.
void scale(Context& context, Tensor& x, double factor);
/// y = x converted to y's type (floating types; float to bfloat16 and float16 rounds to nearest even). A copy
/// when the types are equal.
void cast(Context& context, const Tensor& x, Tensor& y);
/// x = value.
void fill(Context& context, Tensor& x, double value);

}  // namespace trireme::ops
