#pragma once

#include "core/autograd/functions/attention.h"
#include "core/autograd/parameter.h"
#include "core/ops/scored_attention.h"

namespace trireme {

/// The terms of core/ops/scored_attention.h that are on: those whose pointer is set (with `distances` of
/// scored_attention: both biases), and the slopes.
struct ScoreParameters {
  Parameter* relative_keys = nullptr;    ///< [2k+1, K]
  Parameter* relative_values = nullptr;  ///< [2k+1, K]
  Parameter* content_bias = nullptr;     ///< u [H, K]
  Parameter* position_bias = nullptr;    ///< v [H, K]
  Parameter* additive = nullptr;         ///< [H, K]
  std::vector<double> slopes = {};       ///< ALiBi, [H]
};

struct ScoredAttention {
  Variable out;            ///< [B*T, H*K]
  Variable probabilities;  ///< [B, H, T, S], float32 (float64): before dropout
};

/// Attention with terms beside the product of queries and keys, or whose probabilities are wanted; either
/// output may be a root of backward. `distances` [T+S-1, H*K]: the projected embeddings of all distances,
/// undefined without that term. Without terms `out` is that of `attention`. Keeps the inputs and the
/// probabilities.
ScoredAttention scored_attention(Context& context, const AttentionInputs& inputs, const Variable& distances,
                                 const AttentionArguments& arguments, const ScoreParameters& parameters);

}  // namespace trireme
