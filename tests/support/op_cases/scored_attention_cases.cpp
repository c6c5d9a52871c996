#include "core/ops/scored_attention.h"

#include <fmt/format.h>

#include <cmath>

#include "core/ops/elementwise.h"
#include "tests/support/op_cases/op_cases.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

struct ScoredCase {
  const char* name;
  ops::AttentionShape shape;
  bool causal = false;
  int64_t query_offset = 0;
  bool documents = false;  ///< packed documents, and some queries that see nothing
  double dropout = 0.0;
  int64_t clip = 0;  ///< Shaw's k; 0: off
  bool relative_values = false, distances = false, slopes = false, additive = false;
  bool benchmark = false;
};

struct ScoredData {
  ops::AttentionShape shape;
  ops::AttentionOptions options;
  ops::ScoreTerms terms;
  ops::ScoreTermGradients d_terms;
  Tensor q, k, v, out, probabilities, d_out, d_probabilities, d_q, d_k, d_v;

  ScoredData(const ScoredCase& scored, Context& context, DType dtype, DType storage, uint64_t seed)
      : shape(scored.shape) {
    const int64_t B = shape.num_samples, T = shape.query_length, S = shape.key_length, H = shape.num_heads,
                  G = shape.num_query_groups, K = shape.head_dim;
    const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
    const auto draw = [&](const Shape& extent, bool padded = false) {
      return random_tensor(context, extent, dtype, storage, seed++, padded);
    };
    const auto table = [&](bool on, const Shape& extent, Tensor& tensor, Tensor* gradient) {
      if (!on) return;
      tensor = draw(extent);
      if (gradient != nullptr) *gradient = context.zeros(extent, wide, MemoryCategory::kWorkspace);
    };
    set_options(scored, context);
    q = draw({B * T, H * K}, true);
    const Tensor kv = draw({B * S, 2 * G * K}, true);
    k = kv.slice(1, 0, G * K);
    v = kv.slice(1, G * K, G * K);
    out = draw({B * T, H * K}, true);
    d_out = draw({B * T, H * K});
    d_q = draw({B * T, H * K}, true);
    d_k = draw({B * S, G * K});
    d_v = draw({B * S, G * K}, true);
    probabilities = context.zeros({B, H, T, S}, wide, MemoryCategory::kWorkspace);
    // Of the type's own size: a gradient that is known to the same digits whatever is stored.
    d_probabilities = random_tensor(context, {B, H, T, S}, dtype, wide, seed++);
    table(scored.clip > 0, {2 * scored.clip + 1, K}, terms.relative_keys, &d_terms.relative_keys);
    table(scored.relative_values, {2 * scored.clip + 1, K}, terms.relative_values, &d_terms.relative_values);
    table(scored.distances, {T + S - 1, H * K}, terms.distances, &d_terms.distances);
    table(scored.distances, {H, K}, terms.content_bias, &d_terms.content_bias);
    table(scored.distances, {H, K}, terms.position_bias, &d_terms.position_bias);
    table(scored.additive, {H, K}, terms.additive, &d_terms.additive);
    if (scored.slopes) terms.slopes = ops::alibi_slopes(H + 2, 1, H);
  }

  void set_options(const ScoredCase& scored, Context& context) {
    options.mask.causal = scored.causal;
    options.mask.query_offset = scored.query_offset;
    options.scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
    options.dropout = scored.dropout;
    options.dropout_key = RandomKey::make(5, RandomPurpose::kDropout, 3, 1);
    options.head_offset = 2;
    options.sample_ids = context.workspace({shape.num_samples}, DType::kInt64);
    for (int64_t sample = 0; sample < shape.num_samples; ++sample)
      options.sample_ids.data<int64_t>()[sample] = 40 + 3 * sample;
    if (!scored.documents) return;
    constexpr int64_t kDocument = 13;
    options.mask.key_begin = context.workspace({shape.num_samples, shape.query_length}, DType::kInt32);
    options.mask.key_end = context.workspace({shape.num_samples, shape.query_length}, DType::kInt32);
    for (int64_t i = 0; i < options.mask.key_begin.num_elements(); ++i) {
      const int64_t query = i % shape.query_length;
      options.mask.key_begin.data<int32_t>()[i] = static_cast<int32_t>(query / kDocument * kDocument);
      options.mask.key_end.data<int32_t>()[i] =
          query % 11 == 5 ? 0 : static_cast<int32_t>(shape.key_length - i / shape.query_length);
    }
  }

  /// Backward reads what forward wrote in float64, rounded to float32.
  void fill_forward(Context& context) {
    const auto exact = [&](const Tensor& tensor) {
      if (!tensor.defined()) return tensor;
      Tensor result = context.workspace(tensor.shape(), DType::kFloat64);
      ops::cast(context, tensor, result);
      return result;
    };
    ops::ScoreTerms exact_terms{exact(terms.relative_keys), exact(terms.relative_values),
                                exact(terms.distances),     exact(terms.content_bias),
                                exact(terms.position_bias), terms.slopes,
                                exact(terms.additive)};
    Tensor exact_out = exact(out), exact_probabilities = exact(probabilities);
    ops::scored_attention_forward(context, shape, options, exact_terms, exact(q), exact(k), exact(v),
                                  exact_out, exact_probabilities);
    Tensor rounded = context.workspace(probabilities.shape(), DType::kFloat32);
    ops::cast(context, exact_probabilities, rounded);
    ops::cast(context, rounded, probabilities);
  }
};

OpCase make_case(const ScoredCase& scored, bool backward) {
  OpCase result;
  result.op = backward ? "scored_attention_backward" : "scored_attention_forward";
  const ops::AttentionShape& shape = scored.shape;
  result.description =
      fmt::format("{}, B{} T{} S{} H{} G{} K{}", scored.name, shape.num_samples, shape.query_length,
                  shape.key_length, shape.num_heads, shape.num_query_groups, shape.head_dim);
  result.benchmark = scored.benchmark;
  result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
    ScoredData data(scored, context, dtype, storage, seed);
    const double factor = float32_factor(dtype);
    OpRun run;
    if (backward) {
      data.fill_forward(context);
      run.run = [=](Context& run_context) mutable {
        ops::scored_attention_backward(run_context, data.shape, data.options, data.terms, data.q, data.k,
                                       data.v, data.probabilities, data.d_out, data.d_probabilities, data.d_q,
                                       data.d_k, data.d_v, data.d_terms);
      };
      run.outputs = {{"d_q", data.d_q, 2.0}, {"d_k", data.d_k, 2.0}, {"d_v", data.d_v, 2.0}};
      const auto table = [&](const char* name, const Tensor& tensor) {
        if (tensor.defined()) run.outputs.push_back({name, tensor, 2.0 * factor});
      };
      table("d_relative_keys", data.d_terms.relative_keys);
      table("d_relative_values", data.d_terms.relative_values);
      table("d_distances", data.d_terms.distances);
      table("d_content_bias", data.d_terms.content_bias);
      table("d_position_bias", data.d_terms.position_bias);
      table("d_additive", data.d_terms.additive);
    } else {
      run.run = [=](Context& run_context) mutable {
        ops::scored_attention_forward(run_context, data.shape, data.options, data.terms, data.q, data.k,
                                      data.v, data.out, data.probabilities);
      };
      run.outputs = {{"out", data.out}, {"probabilities", data.probabilities, factor}};
    }
    const double products = static_cast<double>(shape.num_samples * shape.query_length * shape.key_length *
                                                shape.num_heads * shape.head_dim);
    run.flops = (backward ? 8.0 : 4.0) * products;
    run.bytes = static_cast<double>(data.probabilities.num_bytes());
    return run;
  };
  return result;
}

}  // namespace

std::vector<OpCase> scored_attention_cases() {
  const ops::AttentionShape kSelf = {2, 33, 33, 4, 2, 24}, kCross = {2, 19, 45, 3, 3, 17},
                            kLarge = {32, 64, 64, 8, 8, 64};
  const ScoredCase kCases[] = {
      {.name = "plain, one element", .shape = {1, 1, 1, 1, 1, 1}, .causal = true},
      {.name = "plain", .shape = kCross},
      {.name = "plain, causal, dropout", .shape = {1, 130, 130, 2, 1, 40}, .causal = true, .dropout = 0.3},
      {.name = "clipped keys, causal", .shape = kSelf, .causal = true, .clip = 4},
      {.name = "clipped keys and values, documents, dropout",
       .shape = kSelf,
       .documents = true,
       .dropout = 0.2,
       .clip = 5,
       .relative_values = true},
      {.name = "clipped keys and values, offset",
       .shape = kCross,
       .query_offset = 26,
       .clip = 3,
       .relative_values = true},
      {.name = "distances", .shape = kCross, .distances = true},
      {.name = "distances, causal, dropout",
       .shape = kSelf,
       .causal = true,
       .dropout = 0.1,
       .distances = true},
      {.name = "slopes", .shape = kSelf, .slopes = true},
      {.name = "slopes, causal, documents",
       .shape = kSelf,
       .causal = true,
       .documents = true,
       .slopes = true},
      {.name = "additive, documents", .shape = kCross, .documents = true, .additive = true},
      {.name = "additive, slopes, groups, dropout",
       .shape = kSelf,
       .dropout = 0.2,
       .slopes = true,
       .additive = true},
      {.name = "plain", .shape = kLarge, .benchmark = true},
      {.name = "clipped keys and values",
       .shape = kLarge,
       .clip = 16,
       .relative_values = true,
       .benchmark = true},
      {.name = "distances", .shape = kLarge, .distances = true, .benchmark = true},
      {.name = "additive", .shape = kLarge, .additive = true, .benchmark = true}};
  std::vector<OpCase> cases;
  for (const ScoredCase& scored : kCases)
    for (const bool backward : {false, true}) cases.push_back(make_case(scored, backward));
  return cases;
}

}  // namespace trireme::testing
