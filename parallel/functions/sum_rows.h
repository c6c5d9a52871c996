#pragma once

#include "core/autograd/variable.h"
#include "parallel/functions/row_exchange.h"

namespace trireme {

/// y = the sum over the ranks of x [rows, cols], all rows or this rank's shard, in x's type: for terms of
/// which one is not zero, so that nothing is rounded. Backward: d_x = all rows of d_y.
Variable sum_rows(Context& context, RowExchange& exchange, const Variable& x);

}  // namespace trireme
