#include "core/ops/reference/scored_attention.h"

#include <cmath>
#include <limits>

#include "core/ops/reference/attention_rows.h"
#include "core/ops/reference/doubles.h"

namespace trireme::ops::reference {
namespace {

std::vector<double> doubles_of(const Tensor& tensor) {
  return tensor.defined() ? load_doubles(tensor) : std::vector<double>();
}

/// The tensors of ScoreTerms in doubles, empty where undefined, and where their rows begin.
struct Terms {
  Terms(const AttentionShape& shape, const AttentionOptions& options, const ScoreTerms& terms)
      : shape(shape),
        offset(options.mask.query_offset),
        slopes(terms.slopes),
        relative_keys(doubles_of(terms.relative_keys)),
        relative_values(doubles_of(terms.relative_values)),
        distances(doubles_of(terms.distances)),
        content_bias(doubles_of(terms.content_bias)),
        position_bias(doubles_of(terms.position_bias)),
        additive(doubles_of(terms.additive)) {}

  int64_t distance(int64_t query, int64_t key) const { return query + offset - key; }
  /// Of a clipped table of this many elements.
  int64_t clipped_row(size_t size, int64_t query, int64_t key) const {
    const int64_t clip = (static_cast<int64_t>(size) / shape.head_dim - 1) / 2;
    return (std::clamp(-distance(query, key), -clip, clip) + clip) * shape.head_dim;
  }
  int64_t distance_row(int64_t head, int64_t query, int64_t key) const {
    return ((query - key + shape.key_length - 1) * shape.num_heads + head) * shape.head_dim;
  }
  int64_t head_row(int64_t head) const { return head * shape.head_dim; }

  AttentionShape shape;
  int64_t offset;
  std::vector<double> slopes, relative_keys, relative_values, distances, content_bias, position_bias,
      additive;
};

double score_of(const Terms& terms, double scale, int64_t head, int64_t query, int64_t key, const double* q,
                const double* k) {
  const int64_t dim = terms.shape.head_dim, row = terms.head_row(head);
  double score = 0;
  if (!terms.additive.empty()) {
    for (int64_t i = 0; i < dim; ++i) score += terms.additive[row + i] * std::tanh(q[i] + k[i]);
  } else {
    score = dot(q, k, dim);
  }
  if (!terms.relative_keys.empty())
    score += dot(q, &terms.relative_keys[terms.clipped_row(terms.relative_keys.size(), query, key)], dim);
  if (!terms.distances.empty()) {
    const double* r = &terms.distances[terms.distance_row(head, query, key)];
    score += dot(&terms.content_bias[row], k, dim);
    score += dot(q, r, dim) + dot(&terms.position_bias[row], r, dim);
  }
  score *= scale;
  if (!terms.slopes.empty())
    score -= terms.slopes[head] * static_cast<double>(std::abs(terms.distance(query, key)));
  return score;
}

/// Adds what d_score, already scaled, gives to q, k and the terms of one pair.
void add_score_gradients(const Terms& terms, double d_score, int64_t head, int64_t query, int64_t key,
                         const double* q, const double* k, double* d_q, double* d_k, Terms& d) {
  const int64_t dim = terms.shape.head_dim, row = terms.head_row(head);
  if (!terms.additive.empty()) {
    for (int64_t i = 0; i < dim; ++i) {
      const double t = std::tanh(q[i] + k[i]);
      const double d_sum = d_score * terms.additive[row + i] * (1.0 - t * t);
      d.additive[row + i] += d_score * t;
      d_q[i] += d_sum;
      d_k[i] += d_sum;
    }
  } else {
    add_scaled(d_q, d_score, k, dim);
    add_scaled(d_k, d_score, q, dim);
  }
  if (!terms.relative_keys.empty()) {
    const int64_t clipped = terms.clipped_row(terms.relative_keys.size(), query, key);
    add_scaled(d_q, d_score, &terms.relative_keys[clipped], dim);
    add_scaled(&d.relative_keys[clipped], d_score, q, dim);
  }
  if (!terms.distances.empty()) {
    const int64_t distance = terms.distance_row(head, query, key);
    const double *u = &terms.content_bias[row], *v = &terms.position_bias[row];
    const double* r = &terms.distances[distance];
    add_scaled(&d.content_bias[row], d_score, k, dim);
    add_scaled(d_k, d_score, u, dim);
    add_scaled(d_q, d_score, r, dim);
    add_scaled(&d.position_bias[row], d_score, r, dim);
    add_scaled(&d.distances[distance], d_score, q, dim);
    add_scaled(&d.distances[distance], d_score, v, dim);
  }
}

}  // namespace

void scored_attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                              const ScoreTerms& score_terms, const Tensor& q, const Tensor& k,
                              const Tensor& v, Tensor& out, Tensor& probabilities) {
  const AttentionIndex at(shape);
  const Terms terms(shape, options, score_terms);
  const std::vector<double> queries = load_doubles(q), keys = load_doubles(k), values = load_doubles(v);
  std::vector<double> outputs(queries.size(), 0.0), weights(probabilities.num_elements(), 0.0);
  const int64_t num_rows = shape.num_samples * shape.num_heads * shape.query_length;

#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < num_rows; ++row) {
    const int64_t query = row % shape.query_length;
    const int64_t head = row / shape.query_length % shape.num_heads;
    const int64_t sample = row / shape.query_length / shape.num_heads;
    const KeyRange range = visible_keys(shape, options.mask, sample, query);
    if (range.empty()) continue;
    double* weight = weights.data() + row * shape.key_length;
    const double* query_row = &queries[at.query(sample, head, query)];
    double maximum = -std::numeric_limits<double>::infinity(), sum = 0;
    for (int64_t key = range.begin; key < range.end; ++key) {
      const double* key_row = &keys[at.key(sample, at.group(head), key)];
      weight[key] = score_of(terms, options.scale, head, query, key, query_row, key_row);
      maximum = std::max(maximum, weight[key]);
    }
    for (int64_t key = range.begin; key < range.end; ++key)
      sum += weight[key] = std::exp(weight[key] - maximum);
    double* output = &outputs[at.query(sample, head, query)];
    for (int64_t key = range.begin; key < range.end; ++key) {
      weight[key] /= sum;
      const double kept = weight[key] * dropout_factor(options, sample, head, query, key);
      add_scaled(output, kept, &values[at.key(sample, at.group(head), key)], shape.head_dim);
      if (terms.relative_values.empty()) continue;
      const int64_t clipped = terms.clipped_row(terms.relative_values.size(), query, key);
      add_scaled(output, kept, &terms.relative_values[clipped], shape.head_dim);
    }
  }
  store_doubles(outputs, out);
  store_doubles(weights, probabilities);
}

void scored_attention_backward(Context&, const AttentionShape& shape, const AttentionOptions& options,
                               const ScoreTerms& score_terms, const Tensor& q, const Tensor& k,
                               const Tensor& v, const Tensor& probabilities, const Tensor& d_out,
                               const Tensor& d_probabilities, Tensor& d_q, Tensor& d_k, Tensor& d_v,
                               ScoreTermGradients& d_terms) {
  const AttentionIndex at(shape);
  const Terms terms(shape, options, score_terms);
  Terms d = terms;
  for (auto* table :
       {&d.relative_keys, &d.relative_values, &d.distances, &d.content_bias, &d.position_bias, &d.additive})
    std::fill(table->begin(), table->end(), 0.0);
  const std::vector<double> queries = load_doubles(q), keys = load_doubles(k), values = load_doubles(v);
  const std::vector<double> weights = load_doubles(probabilities), d_outputs = load_doubles(d_out);
  const std::vector<double> d_weights = doubles_of(d_probabilities);
  std::vector<double> d_queries(queries.size(), 0.0), d_keys(keys.size(), 0.0), d_values(values.size(), 0.0);
  std::vector<double> d_weight(shape.key_length);

  // One thread: every pair adds to the tables.
  for (int64_t row = 0; row < shape.num_samples * shape.num_heads * shape.query_length; ++row) {
    const int64_t query = row % shape.query_length;
    const int64_t head = row / shape.query_length % shape.num_heads;
    const int64_t sample = row / shape.query_length / shape.num_heads;
    const KeyRange range = visible_keys(shape, options.mask, sample, query);
    const int64_t query_at = at.query(sample, head, query);
    const double *weight = &weights[row * shape.key_length], *d_output = &d_outputs[query_at];
    double delta = 0;
    for (int64_t key = range.begin; key < range.end; ++key) {
      const int64_t key_at = at.key(sample, at.group(head), key);
      const double factor = dropout_factor(options, sample, head, query, key);
      double d_kept = dot(d_output, &values[key_at], shape.head_dim);
      add_scaled(&d_values[key_at], weight[key] * factor, d_output, shape.head_dim);
      if (!terms.relative_values.empty()) {
        const int64_t clipped = terms.clipped_row(terms.relative_values.size(), query, key);
        d_kept += dot(d_output, &terms.relative_values[clipped], shape.head_dim);
        add_scaled(&d.relative_values[clipped], weight[key] * factor, d_output, shape.head_dim);
      }
      d_weight[key] = factor * d_kept;
      if (!d_weights.empty()) d_weight[key] += d_weights[row * shape.key_length + key];
      delta += weight[key] * d_weight[key];
    }
    for (int64_t key = range.begin; key < range.end; ++key) {
      const int64_t key_at = at.key(sample, at.group(head), key);
      add_score_gradients(terms, options.scale * weight[key] * (d_weight[key] - delta), head, query, key,
                          &queries[query_at], &keys[key_at], &d_queries[query_at], &d_keys[key_at], d);
    }
  }
  store_doubles(d_queries, d_q);
  store_doubles(d_keys, d_k);
  store_doubles(d_values, d_v);
  const auto store_table = [](const std::vector<double>& table, Tensor& target) {
    if (target.defined()) store_doubles(table, target);
  };
  store_table(d.relative_keys, d_terms.relative_keys);
  store_table(d.relative_values, d_terms.relative_values);
  store_table(d.distances, d_terms.distances);
  store_table(d.content_bias, d_terms.content_bias);
  store_table(d.position_bias, d_terms.position_bias);
  store_table(d.additive, d_terms.additive);
}

}  // namespace trireme::ops::reference
