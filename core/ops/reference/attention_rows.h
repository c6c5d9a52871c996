#pragma once

#include "core/ops/attention_keys.h"

/// What the plain loops of attention.cpp and scored_attention.cpp share.
namespace trireme::ops::reference {

/// Where the rows of one query or key begin in dense doubles.
struct AttentionIndex {
  explicit AttentionIndex(const AttentionShape& shape)
      : shape(shape), capacity(shape.key_capacity == 0 ? shape.key_length : shape.key_capacity) {}
  int64_t query(int64_t sample, int64_t head, int64_t query) const {
    return ((sample * shape.query_length + query) * shape.num_heads + head) * shape.head_dim;
  }
  int64_t key(int64_t sample, int64_t group, int64_t key) const {
    return ((sample * capacity + key) * shape.num_query_groups + group) * shape.head_dim;
  }
  int64_t log_sum_exp(int64_t sample, int64_t head, int64_t query) const {
    return (sample * shape.num_heads + head) * shape.query_length + query;
  }
  int64_t group(int64_t head) const { return head / (shape.num_heads / shape.num_query_groups); }

  AttentionShape shape;
  int64_t capacity;
};

inline double dot(const double* a, const double* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

inline void add_scaled(double* target, double factor, const double* source, int64_t count) {
  for (int64_t i = 0; i < count; ++i) target[i] += factor * source[i];
}

/// 0 for a dropped probability, 1 / (1 - p) for a kept one.
inline double dropout_factor(const AttentionOptions& options, int64_t sample, int64_t head, int64_t query,
                             int64_t key) {
  if (options.dropout == 0.0) return 1.0;
  const int64_t position = options.key_offset + key;
  const RandomCounter counter =
      attention_counter(options.sample_ids.data<int64_t>()[sample], options.head_offset + head,
                        query_position(options) + query, position / 4);
  const uint32_t bits = philox(options.dropout_key, counter)[position % 4];
  return bits < dropout_threshold(options.dropout) ? 0.0 : 1.0 / (1.0 - options.dropout);
}

}  // namespace trireme::ops::reference
