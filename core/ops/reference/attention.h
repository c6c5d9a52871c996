#pragma once

#include "core/ops/attention.h"

namespace trireme::ops::reference {

void attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                       const Tensor& q, const Tensor& k, const Tensor& v, Tensor& out, Tensor& log_sum_exp);

void attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                        const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& log_sum_exp, const Tensor& d_out, Tensor& d_q, Tensor& d_k,
                        Tensor& d_v);

}  // namespace trireme::ops::reference
