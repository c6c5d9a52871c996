#pragma once

#include "core/autograd/variable.h"

namespace trireme {

/// Rows 0, n, 2n, ... of x [rows, D], rows a multiple of n. Backward puts zeros between them.
Variable every_nth_row(Context& context, const Variable& x, int64_t n);

}  // namespace trireme
