#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// Which rows of a vocabulary a table [rows, D] holds: ids [begin, begin + rows).
struct TableRange {
  int64_t begin = 0;
  int64_t vocab_size = 0;  ///< of the whole table; 0: the table is whole
};

/// An id without a row: zeros.
inline constexpr int32_t kNoRow = -1;

/// out[i] = table[ids[i]] (+ out[i] when accumulate). table [V, D], ids int32 (any shape), out [ids, D]. An
/// id of another range gives zeros, as kNoRow does. Throws DataError naming the position when an id is
/// outside the vocabulary.
void embedding_forward(Context& context, const Tensor& table, const Tensor& ids, Tensor& out,
                       bool accumulate = false, const TableRange& range = {});

/// d_table[ids[i]] += d_out[i]; the rows that occur not at all are set to zero unless accumulate, ids of
/// another range are passed over. d_table float32 (float64 for float64). Deterministic whatever the number of
/// threads.
void embedding_backward(Context& context, const Tensor& d_out, const Tensor& ids, Tensor& d_table,
                        bool accumulate, const TableRange& range = {});

}  // namespace trireme::ops
