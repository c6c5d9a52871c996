#pragma once

#include "core/ops/scored_attention.h"

namespace trireme::ops::cpu {

void scored_attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                              const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                              Tensor& out, Tensor& probabilities);

void scored_attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                               const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                               const Tensor& probabilities, const Tensor& d_out,
                               const Tensor& d_probabilities, Tensor& d_q, Tensor& d_k, Tensor& d_v,
                               ScoreTermGradients& d_terms);

}  // namespace trireme::ops::cpu
