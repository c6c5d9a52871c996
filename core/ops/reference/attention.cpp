#include "core/ops/reference/attention.h"

#include <cmath>
#include <limits>

#include "core/ops/reference/attention_rows.h"
#include "core/ops/reference/doubles.h"

namespace trireme::ops::reference {
void attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                       const Tensor& q, const Tensor& k, const Tensor& v, Tensor& out, Tensor& log_sum_exp) {
  const AttentionIndex at(shape);
  const std::vector<double> queries = load_doubles(q), keys = load_doubles(k), values = load_doubles(v);
  std::vector<double> outputs(queries.size(), 0.0);
  std::vector<double> log_sums(log_sum_exp.num_elements(), -std::numeric_limits<double>::infinity());
  const int64_t num_rows = shape.num_samples * shape.num_heads * shape.query_length;

#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < num_rows; ++row) {
    const int64_t query = row % shape.query_length;
    const int64_t head = row / shape.query_length % shape.num_heads;
    const int64_t sample = row / shape.query_length / shape.num_heads;
    const int64_t group = at.group(head);
    const KeyRange range = visible_keys(shape, options.mask, sample, query);
    if (range.empty()) continue;
    std::vector<double> weights(range.end - range.begin);
    double maximum = -std::numeric_limits<double>::infinity();
    for (int64_t key = range.begin; key < range.end; ++key) {
      const double score = options.scale * dot(&queries[at.query(sample, head, query)],
                                               &keys[at.key(sample, group, key)], shape.head_dim);
      weights[key - range.begin] = score;
      maximum = std::max(maximum, score);
    }
    double sum = 0;
    for (double& weight : weights) sum += weight = std::exp(weight - maximum);
    for (int64_t key = range.begin; key < range.end; ++key) {
      const double probability = weights[key - range.begin] / sum;
      add_scaled(&outputs[at.query(sample, head, query)],
                 probability * dropout_factor(options, sample, head, query, key),
                 &values[at.key(sample, group, key)], shape.head_dim);
    }
    log_sums[at.log_sum_exp(sample, head, query)] = maximum + std::log(sum);
  }
  store_doubles(outputs, out);
  store_doubles(log_sums, log_sum_exp);
}

void attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                        const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& log_sum_exp, const Tensor& d_out, Tensor& d_q, Tensor& d_k,
                        Tensor& d_v) {
  const AttentionIndex at(shape);
  const std::vector<double> queries = load_doubles(q), keys = load_doubles(k), values = load_doubles(v);
  const std::vector<double> outputs = load_doubles(out), d_outputs = load_doubles(d_out);
  const std::vector<double> log_sums = load_doubles(log_sum_exp);
  std::vector<double> d_queries(queries.size(), 0.0), d_keys(keys.size(), 0.0), d_values(values.size(), 0.0);
  const int64_t heads_per_group = shape.num_heads / shape.num_query_groups;

  // One key-value head belongs to one iteration, so no two threads add to one gradient.
#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t pair = 0; pair < shape.num_samples * shape.num_query_groups; ++pair) {
    const int64_t sample = pair / shape.num_query_groups, group = pair % shape.num_query_groups;
    for (int64_t head = group * heads_per_group; head < (group + 1) * heads_per_group; ++head) {
      for (int64_t query = 0; query < shape.query_length; ++query) {
        const KeyRange range = visible_keys(shape, options.mask, sample, query);
        const int64_t row = at.query(sample, head, query);
        const double* d_output = d_outputs.data() + row;
        const double delta = dot(d_output, outputs.data() + row, shape.head_dim);
        for (int64_t key = range.begin; key < range.end; ++key) {
          const int64_t column = at.key(sample, group, key);
          const double score = options.scale * dot(&queries[row], &keys[column], shape.head_dim);
          const double probability = std::exp(score - log_sums[at.log_sum_exp(sample, head, query)]);
          const double factor = dropout_factor(options, sample, head, query, key);
          const double d_probability = factor * dot(d_output, &values[column], shape.head_dim);
          const double d_score = options.scale * probability * (d_probability - delta);
          add_scaled(&d_queries[row], d_score, &keys[column], shape.head_dim);
          add_scaled(&d_keys[column], d_score, &queries[row], shape.head_dim);
          add_scaled(&d_values[column], probability * factor, d_output, shape.head_dim);
        }
      }
    }
  }
  store_doubles(d_queries, d_q);
  store_doubles(d_keys, d_k);
  store_doubles(d_values, d_v);
}

}  // namespace trireme::ops::reference
