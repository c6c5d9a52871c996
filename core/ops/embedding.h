#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// out[i] = table[ids[i]] (+ out[i] when accumulate). table [V, D], ids int32 (any shape), out [ids, D].
/// Throws DataError naming the position when an id is outside [0, V).
void embedding_forward(Context& context, const Tensor& table, const Tensor& ids, Tensor& out,
                       bool accumulate = false);

/// d_table[ids[i]] += d_out[i]; the rows that occur not at all are set to zero unless accumulate. d_table
/// float32 (float64 for float64). Deterministic whatever the number of threads.
void embedding_backward(Context& context, const Tensor& d_out, const Tensor& ids, Tensor& d_table,
                        bool accumulate);

}  // namespace trireme::ops
