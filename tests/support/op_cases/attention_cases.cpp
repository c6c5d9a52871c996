#include "core/ops/attention.h"

#include <fmt/format.h>

#include <cmath>

#include "core/ops/elementwise.h"
#include "tests/support/op_cases/op_cases.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

struct AttentionCase {
  const char* name;
  ops::AttentionShape shape;
  bool causal = false;
  int64_t query_offset = 0;
  bool documents = false;  ///< packed documents, and some queries that see nothing
  double dropout = 0.0;
  int64_t key_offset = 0;
  bool benchmark = false;
};

ops::AttentionOptions options_of(const AttentionCase& attention, Context& context) {
  const ops::AttentionShape& shape = attention.shape;
  ops::AttentionOptions options;
  options.mask.causal = attention.causal;
  options.mask.query_offset = attention.query_offset;
  options.scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
  options.dropout = attention.dropout;
  options.dropout_key = RandomKey::make(5, RandomPurpose::kDropout, 3, 1);
  options.head_offset = 2;
  options.key_offset = attention.key_offset;
  options.sample_ids = context.workspace({shape.num_samples}, DType::kInt64);
  for (int64_t sample = 0; sample < shape.num_samples; ++sample)
    options.sample_ids.data<int64_t>()[sample] = 40 + 3 * sample;
  if (attention.documents) {
    constexpr int64_t kDocument = 37;
    options.mask.key_begin = context.workspace({shape.num_samples, shape.query_length}, DType::kInt32);
    options.mask.key_end = context.workspace({shape.num_samples, shape.query_length}, DType::kInt32);
    for (int64_t i = 0; i < options.mask.key_begin.num_elements(); ++i) {
      const int64_t query = i % shape.query_length;
      options.mask.key_begin.data<int32_t>()[i] = static_cast<int32_t>(query / kDocument * kDocument);
      options.mask.key_end.data<int32_t>()[i] =
          query % 11 == 5 ? 0 : static_cast<int32_t>(shape.key_length - i / shape.query_length);
    }
  }
  return options;
}

struct AttentionData {
  ops::AttentionShape shape;
  ops::AttentionOptions options;
  Tensor q, k, v, out, log_sum_exp, d_out, d_q, d_k, d_v;

  /// q, k and v are column ranges of one tensor when their rows are as many.
  AttentionData(const AttentionCase& attention, Context& context, DType dtype, DType storage, uint64_t seed)
      : shape(attention.shape), options(options_of(attention, context)) {
    const int64_t rows = shape.num_samples * shape.query_length, q_cols = shape.num_heads * shape.head_dim;
    const int64_t key_rows =
        shape.num_samples * (shape.key_capacity == 0 ? shape.key_length : shape.key_capacity);
    const int64_t k_cols = shape.num_query_groups * shape.head_dim;
    const auto packed = [&](uint64_t packed_seed, Tensor& first, Tensor& second, Tensor& third) {
      if (rows == key_rows) {
        const Tensor all =
            random_tensor(context, {rows, q_cols + 2 * k_cols}, dtype, storage, packed_seed, true);
        first = all.slice(1, 0, q_cols);
        second = all.slice(1, q_cols, k_cols);
        third = all.slice(1, q_cols + k_cols, k_cols);
      } else {
        first = random_tensor(context, {rows, q_cols}, dtype, storage, packed_seed, true);
        second = random_tensor(context, {key_rows, k_cols}, dtype, storage, packed_seed + 1);
        third = random_tensor(context, {key_rows, k_cols}, dtype, storage, packed_seed + 2);
      }
    };
    packed(seed, q, k, v);
    packed(seed + 3, d_q, d_k, d_v);
    out = random_tensor(context, {rows, q_cols}, dtype, storage, seed + 6, true);
    d_out = random_tensor(context, {rows, q_cols}, dtype, storage, seed + 7);
    log_sum_exp =
        context.zeros({shape.num_samples, shape.num_heads, shape.query_length},
                      storage == DType::kFloat64 ? storage : DType::kFloat32, MemoryCategory::kWorkspace);
  }

  /// Backward reads what forward wrote: `out` rounded to `dtype`, the same for every storage.
  void fill_forward(Context& context, DType dtype) {
    const auto as = [&](const Tensor& tensor, DType wanted) {
      Tensor result = context.workspace(tensor.shape(), wanted);
      ops::cast(context, tensor, result);
      return result;
    };
    Tensor exact_out = as(out, DType::kFloat64), exact_log_sum_exp = as(log_sum_exp, DType::kFloat64);
    ops::attention_forward(context, shape, options, as(q, DType::kFloat64), as(k, DType::kFloat64),
                           as(v, DType::kFloat64), exact_out, exact_log_sum_exp);
    ops::cast(context, as(exact_out, dtype), out);
    ops::cast(context, exact_log_sum_exp, log_sum_exp);
  }
};

/// The products of queries and keys that the mask lets through, per head and unit of head_dim.
double visible_pairs(const AttentionCase& attention) {
  const ops::AttentionShape& shape = attention.shape;
  const double all = static_cast<double>(shape.num_samples * shape.query_length * shape.key_length);
  return attention.causal ? all / 2 : all;
}

OpCase make_case(const AttentionCase& attention, bool backward) {
  OpCase result;
  result.op = backward ? "attention_backward" : "attention_forward";
  const ops::AttentionShape& shape = attention.shape;
  result.description =
      fmt::format("{}, B{} T{} S{} H{} G{} K{}", attention.name, shape.num_samples, shape.query_length,
                  shape.key_length, shape.num_heads, shape.num_query_groups, shape.head_dim);
  result.benchmark = attention.benchmark;
  result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
    AttentionData data(attention, context, dtype, storage, seed);
    const double products = visible_pairs(attention) * static_cast<double>(shape.num_heads * shape.head_dim);
    const double tensor_bytes = static_cast<double>(data.q.num_bytes());
    OpRun run;
    if (backward) {
      data.fill_forward(context, dtype);
      run.run = [=](Context& run_context) mutable {
        ops::attention_backward(run_context, data.shape, data.options, data.q, data.k, data.v, data.out,
                                data.log_sum_exp, data.d_out, data.d_q, data.d_k, data.d_v);
      };
      // S = QK^T and its gradient each lose a few bits more than one sum does.
      run.outputs = {{"d_q", data.d_q, 2.0}, {"d_k", data.d_k, 2.0}, {"d_v", data.d_v, 2.0}};
      run.flops = 10.0 * products;
      run.bytes = 8.0 * tensor_bytes;
    } else {
      run.run = [=](Context& run_context) mutable {
        ops::attention_forward(run_context, data.shape, data.options, data.q, data.k, data.v, data.out,
                               data.log_sum_exp);
      };
      run.outputs = {{"out", data.out}, {"log_sum_exp", data.log_sum_exp, float32_factor(dtype)}};
      run.flops = 4.0 * products;
      run.bytes = 4.0 * tensor_bytes;
    }
    return run;
  };
  return result;
}

}  // namespace

std::vector<OpCase> attention_cases() {
  const AttentionCase kCases[] = {
      {"full", {1, 64, 64, 1, 1, 64}},
      {"one element", {1, 1, 1, 1, 1, 1}, true},
      {"causal", {2, 96, 96, 2, 2, 32}, true},
      {"causal, several tasks a head", {1, 300, 300, 1, 1, 16}, true},
      {"causal, query groups", {2, 70, 70, 4, 2, 40}, true},
      {"one query over a cache", {3, 1, 50, 2, 1, 24, 64}, true, 49},
      {"some queries over a cache", {1, 5, 77, 3, 1, 33, 90}, true, 72},
      {"first queries see nothing", {1, 70, 50, 2, 1, 8}, true, -20},
      {"cross", {2, 33, 129, 2, 2, 16}},
      {"documents", {2, 100, 150, 2, 2, 16}, true, 0, true},
      {"dropout", {2, 65, 65, 2, 2, 24}, true, 0, false, 0.3},
      {"dropout, documents, split keys", {2, 100, 150, 2, 1, 24}, false, 7, true, 0.2, 5},
      {"causal", {4, 256, 256, 12, 12, 64}, true, 0, false, 0.0, 0, true},
      {"causal, dropout", {4, 256, 256, 12, 12, 64}, true, 0, false, 0.1, 0, true},
      {"causal", {4, 1024, 1024, 12, 12, 64}, true, 0, false, 0.0, 0, true}};
  std::vector<OpCase> cases;
  for (const AttentionCase& attention : kCases)
    for (const bool backward : {false, true}) cases.push_back(make_case(attention, backward));
  return cases;
}

}  // namespace trireme::testing
