#pragma once

#include "core/autograd/variable.h"
#include "core/ops/rotary.h"

namespace trireme {

/// A rotated copy of x [rows, num_heads * head_dim]; positions int32, one per row. (`attention` rotates the
/// packed projection in place instead; this is its oracle.)
Variable rotary(Context& context, const ops::RotaryOptions& options, const Tensor& positions,
                const Variable& x);

}  // namespace trireme
