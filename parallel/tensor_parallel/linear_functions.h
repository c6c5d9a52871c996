#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"
#include "parallel/functions/row_exchange.h"

namespace trireme {

// The two halves of a feed-forward network or of attention whose features are split over ranks (Shoeybi et
// al. 2019, section 3), with row shards of the residual stream between them where the exchange is sharded
// (Korthikanti et al. 2022, section 4.2.2). R rows, D features of the residual stream, F local features.
// Terms that cross ranks are made and added up in float32 (float64) and rounded once.

/// y [R, F] = x W^T + b with W [F, D] and b [F] of this rank. x: all rows or this rank's shard. Backward: d_x
/// = the sum over the ranks of d_y W, under way while dW = d_y^T x is made. The shard, or its recipe, is
/// what is kept: it is gathered again for dW.
Variable column_linear(Context& context, RowExchange& exchange, const Variable& x, Parameter& weight,
                       Parameter* bias);

/// y = the sum over the ranks of x W^T, plus b once: all rows or this rank's shard [., D], with W [D, F] of
/// this rank and b [D] of all. x [R, F]. Backward: d_x = d_y W, dW = d_y^T x with all rows of d_y; db from
/// this rank's rows of d_y. Keeps x, or its recipe.
Variable row_linear(Context& context, RowExchange& exchange, const Variable& x, Parameter& weight,
                    Parameter* bias);

}  // namespace trireme
