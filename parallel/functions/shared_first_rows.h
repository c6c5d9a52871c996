#pragma once

#include "core/autograd/variable.h"
#include "parallel/functions/row_exchange.h"

namespace trireme {

/// Rows 0, n, 2n, ... of a residual stream of which this rank has the shard x, whole on every rank. Backward:
/// every rank has the whole gradient and takes that of its rows. `exchange` does not divide rows.
Variable shared_first_rows(Context& context, RowExchange& exchange, const Variable& x,
                           const nn::RowShard& shard, int64_t n);

}  // namespace trireme
