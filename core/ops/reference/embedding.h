#pragma once

#include "core/ops/embedding.h"

/// Plain loops in double over any floating type: the oracle of the fast kernels. Arguments are checked by the
/// dispatch in core/ops/embedding.cpp.
namespace trireme::ops::reference {

void embedding_forward(Context& context, const Tensor& table, const Tensor& ids, Tensor& out,
                       bool accumulate);
void embedding_backward(Context& context, const Tensor& d_out, const Tensor& ids, Tensor& d_table,
                        bool accumulate);

}  // namespace trireme::ops::reference
