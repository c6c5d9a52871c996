#pragma once

#include "core/ops/cpu/attention_blocks.h"
#include "core/ops/scored_attention.h"

namespace trireme::ops::cpu {

/// One call of scored attention, for the kernels, with the padded sizes of its matrices.
struct ScoredCall : AttentionCall {
  ScoredCall(const AttentionShape& shape, const AttentionOptions& options, const ScoreTerms& terms)
      : AttentionCall{shape, options}, terms(terms) {}

  int64_t queries() const { return round_up(shape.query_length, kPadding); }
  int64_t keys() const { return round_up(shape.key_length, kPadding); }
  int64_t num_distances() const { return shape.query_length + shape.key_length - 1; }
  /// Rows of a table as a matrix: 0 where it is undefined.
  static int64_t rows_of(const Tensor& table) {
    return table.defined() ? round_up(table.size(0), kPadding) : 0;
  }
  int64_t most_rows() const {
    return std::max({rows_of(terms.relative_keys), rows_of(terms.relative_values), rows_of(terms.distances)});
  }
  int64_t probability_row(int64_t sample, int64_t head, int64_t query) const {
    return (sample * shape.num_heads + head) * shape.query_length + query;
  }
  /// Query minus key in positions.
  int64_t distance(int64_t query, int64_t key) const { return query + options.mask.query_offset - key; }

  const ScoreTerms& terms;
};

/// A thread's matrices. `table` holds one of the tables at a time, `by_row` one number per query and row of
/// that table.
struct ScoredScratch {
  ScoredScratch(const ScoredCall& call, bool backward, float* start) : memory(start) {
    const int64_t dim = call.padded_dim(), T = call.queries(), S = call.keys(), R = call.most_rows();
    q = memory.take(T * dim);
    q_shifted = memory.take(T * dim);
    out = memory.take(T * dim);
    keys = memory.take(S * dim);
    values = memory.take(S * dim);
    transposed = memory.take(S * dim);
    scores = memory.take(T * S);
    table = memory.take(R * dim);
    table_transposed = memory.take(R * dim);
    by_row = memory.take(T * R);
    vector = memory.take(dim);
    if (!backward) return;
    d_out = memory.take(T * dim);
    d_q = memory.take(T * dim);
    d_keys = memory.take(S * dim);
    d_values = memory.take(S * dim);
    weights = memory.take(T * S);
    kept = memory.take(T * S);
  }
  Scratch memory;
  float *q, *q_shifted, *out;                ///< [T, dim]
  float *keys, *values, *transposed;         ///< [S, dim] and its transpose
  float* scores;                             ///< [T, S]; in backward their gradient
  float *table, *table_transposed, *by_row;  ///< [R, dim], [dim, R], [T, R]
  float* vector;                             ///< [dim]: a row of a table [H, K]
  float *d_out = nullptr, *d_q = nullptr;    ///< [T, dim]
  float *d_keys = nullptr, *d_values = nullptr;
  float *weights = nullptr, *kept = nullptr;  ///< [T, S]: probabilities before and after dropout
};

/// Where one task, a sample and group of heads, adds its part of the gradients of the terms, in float32; null
/// where a term is off. Those per head are laid out like the term.
struct ScoredPartials {
  float *relative_keys = nullptr, *relative_values = nullptr;  ///< [rows_of, padded_dim]
  float* distances = nullptr;                                  ///< [T+S-1, H*K] of the sample
  float *content_bias = nullptr, *position_bias = nullptr, *additive = nullptr;  ///< [H, K] of the sample
};

}  // namespace trireme::ops::cpu
