#pragma once

#include "core/ops/embedding.h"

/// Highway and OpenMP over float32, bfloat16 and float16, math in float32. Arguments are checked by the
/// dispatch in core/ops/embedding.cpp. `first_row`: the id of the table's first row.
namespace trireme::ops::cpu {

void embedding_forward(Context& context, const Tensor& table, const Tensor& ids, Tensor& out, bool accumulate,
                       int64_t first_row);
void embedding_backward(Context& context, const Tensor& d_out, const Tensor& ids, Tensor& d_table,
                        bool accumulate, int64_t first_row);

}  // namespace trireme::ops::cpu
