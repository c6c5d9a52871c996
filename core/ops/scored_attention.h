#pragma once

#include <vector>

#include "core/ops/attention.h"

namespace trireme::ops {

/// Attention that writes its probabilities out, so that scores and values may have further terms. Slower and
/// larger than attention.h, which it equals when no term is on. Letters as there; the distance of a pair is d
/// = (query + query_offset) - key.
///
///   score = scale * (content + keys + distances) - slope |d|,   out = sum over keys of p (v + values)
///
/// A term is on when its tensor is defined. Tensors have the type of the queries; H counts this rank's heads.
struct ScoreTerms {
  /// Shaw et al. 2018 (arXiv 1803.02155), equations 3 to 5: keys = q . a^K[c], values = a^V[c] with c =
  /// clip(-d, -k, k) + k. [2k+1, K], shared by all heads.
  Tensor relative_keys = {}, relative_values = {};
  /// Dai et al. 2019 (arXiv 1901.02860), section 3.3: content = (q + u) . k, distances = (q + v) . r_d. Row i
  /// of `distances` [T+S-1, H*K] is the projected embedding r_d of distance_of_row(shape, mask, i); u and v
  /// [H, K]. All three or none.
  Tensor distances = {}, content_bias = {}, position_bias = {};
  /// Press et al. 2022 (arXiv 2108.12409): one slope a head, not scaled by `scale`.
  std::vector<double> slopes = {};
  /// Bahdanau et al. 2015, per head: content = sum over K of w tanh(q + k), w [H, K]. Not with the two above
  /// that are products of queries and keys.
  Tensor additive = {};
};

/// The distance that row `row` of ScoreTerms::distances stands for: from query_offset - (S - 1) up.
inline int64_t distance_of_row(const AttentionShape& shape, const AttentionMask& mask, int64_t row) {
  return row + mask.query_offset - (shape.key_length - 1);
}

/// ALiBi's slopes of heads [begin, begin + count) of `num_heads`: 2^(-8h/H), h from 1, where H is a power of
/// two; else those of the power of two below, then every second one of twice as many heads.
std::vector<double> alibi_slopes(int64_t num_heads, int64_t begin, int64_t count);

/// Tensors as in attention_forward; probabilities [B, H, T, S], float32 (float64 for float64), contiguous:
/// before dropout, zeros for what a query does not see. Throws ShapeError.
void scored_attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                              const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                              Tensor& out, Tensor& probabilities);

/// Gradients of the tensors in ScoreTerms, float32 (float64 for float64), contiguous; written, not added to.
/// Each is defined exactly where its tensor is.
struct ScoreTermGradients {
  Tensor relative_keys, relative_values, distances, content_bias, position_bias, additive;
};

/// Writes d_q, d_k, d_v and d_terms. d_probabilities, where defined, is added to what reaches the
/// probabilities through `out`. Rows of keys beyond key_length get zeros. dS = P * (dP - sum(dP * P)).
void scored_attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                               const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                               const Tensor& probabilities, const Tensor& d_out,
                               const Tensor& d_probabilities, Tensor& d_q, Tensor& d_k, Tensor& d_v,
                               ScoreTermGradients& d_terms);

}  // namespace trireme::ops
