#include "core/ops/scored_attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "tests/support/gradient_check.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::normal_tensor;
using testing::tensor_of;
using testing::values_of;

/// Queries, keys and values with room for everything that either operation writes.
class ScoredAttention : public ::testing::TestWithParam<DType> {
 protected:
  const DType dtype = GetParam();
  const double bound = dtype == DType::kFloat64 ? 1e-12 : 2e-5;
  Context context;
  ops::AttentionShape shape = {.num_samples = 2,
                               .query_length = 9,
                               .key_length = 13,
                               .num_heads = 4,
                               .num_query_groups = 2,
                               .head_dim = 5};
  ops::AttentionOptions options;
  ops::ScoreTerms terms;
  ops::ScoreTermGradients d_terms;
  Tensor q, k, v, d_out;

  ScoredAttention() {
    options.scale = 0.4;
    options.mask.query_offset = 4;
    options.sample_ids = context.zeros({2}, DType::kInt64, MemoryCategory::kWorkspace);
    options.sample_ids.data<int64_t>()[1] = 7;
    options.dropout_key = RandomKey::make(5, RandomPurpose::kDropout, 3, 1);
    options.head_offset = 3;
    q = draw({18, 20}, 1);
    k = draw({26, 10}, 2);
    v = draw({26, 10}, 3);
    d_out = draw({18, 20}, 4);
  }
  Tensor draw(const Shape& extent, uint64_t seed) { return normal_tensor(context, extent, dtype, seed); }
  Tensor like(const Tensor& tensor) { return context.workspace(tensor.shape(), dtype); }
  Tensor room() {
    return context.workspace({shape.num_samples, shape.num_heads, shape.query_length, shape.key_length},
                             dtype);
  }
  Tensor probabilities_of(Tensor& out) {
    Tensor probabilities = room();
    ops::scored_attention_forward(context, shape, options, terms, q, k, v, out, probabilities);
    return probabilities;
  }
};

TEST_P(ScoredAttention, WithoutTermsEqualsAttention) {
  Tensor begin = context.workspace({2, 9}, DType::kInt32), end = context.workspace({2, 9}, DType::kInt32);
  for (int i = 0; i < 18; ++i) {
    begin.data<int32_t>()[i] = i % 3;
    end.data<int32_t>()[i] = i % 5 == 2 ? 0 : 13 - i % 4;
  }
  for (const bool causal : {false, true})
    for (const bool masked : {false, true})
      for (const double dropout : {0.0, 0.3}) {
        options.mask.causal = causal;
        options.mask.key_begin = masked ? begin : Tensor();
        options.mask.key_end = masked ? end : Tensor();
        options.dropout = dropout;
        Tensor out = like(q), d_q = like(q), d_k = like(k), d_v = like(v);
        const Tensor probabilities = probabilities_of(out);
        ops::scored_attention_backward(context, shape, options, terms, q, k, v, probabilities, d_out,
                                       Tensor(), d_q, d_k, d_v, d_terms);
        Tensor fused_out = like(q), fused_d_q = like(q), fused_d_k = like(k), fused_d_v = like(v);
        Tensor log_sum_exp = context.workspace({2, 4, 9}, dtype);
        ops::attention_forward(context, shape, options, q, k, v, fused_out, log_sum_exp);
        ops::attention_backward(context, shape, options, q, k, v, fused_out, log_sum_exp, d_out, fused_d_q,
                                fused_d_k, fused_d_v);
        expect_near(out, values_of(fused_out), bound);
        expect_near(d_q, values_of(fused_d_q), bound);
        expect_near(d_k, values_of(fused_d_k), bound);
        expect_near(d_v, values_of(fused_d_v), bound);
      }
}

TEST_P(ScoredAttention, GivesProbabilitiesThatAddUpToOneAndZerosForWhatIsNotSeen) {
  options.mask.causal = true;
  options.mask.query_offset = -2;  // the first two queries see nothing
  options.dropout = 0.5;           // which the probabilities do not show
  terms.slopes = {0.5, 0.25, 0.125, 0.0625};
  Tensor out = like(q);
  const std::vector<double> p = values_of(probabilities_of(out));
  for (size_t row = 0; row < p.size() / 13; ++row) {
    const auto query = static_cast<int64_t>(row % 9);
    double sum = 0;
    for (int64_t key = 0; key < 13; ++key) {
      sum += p[row * 13 + key];
      if (key > query - 2) {
        EXPECT_EQ(p[row * 13 + key], 0.0);
      }
    }
    EXPECT_NEAR(sum, query < 2 ? 0.0 : 1.0, bound);
  }
  const std::vector<double> outputs = values_of(out);
  for (size_t col = 0; col < 20; ++col) EXPECT_EQ(outputs[col], 0.0);
}

/// Content that says nothing: with queries of zeros the slopes alone decide.
TEST_P(ScoredAttention, SlopesTakeTheirShareOfTheDistanceOnBothSides) {
  ops::fill(context, q, 0.0);
  terms.slopes = {1.0, 0.5, 0.25, 0.0};
  Tensor out = like(q);
  const std::vector<double> p = values_of(probabilities_of(out));
  for (int64_t row = 0; row < 2 * 4 * 9; ++row) {
    const int64_t position = row % 9 + 4;
    const double slope = terms.slopes[static_cast<size_t>(row / 9 % 4)];
    for (int64_t key = 0; key < 13; ++key)
      EXPECT_NEAR(
          std::log(p[static_cast<size_t>(row * 13 + key)] / p[static_cast<size_t>(row * 13 + position)]),
          -slope * static_cast<double>(std::abs(position - key)), 10 * bound);
  }
}

/// The paper's own loop, equations 3 and 4, beside the masks of attention.
TEST_P(ScoredAttention, ClippedTablesAreAddedToKeysAndValues) {
  constexpr int64_t kClip = 2;
  terms.relative_keys = draw({2 * kClip + 1, 5}, 11);
  terms.relative_values = draw({2 * kClip + 1, 5}, 12);
  Tensor out = like(q);
  const std::vector<double> p = values_of(probabilities_of(out)), given = values_of(out);
  const std::vector<double> queries = values_of(q), keys = values_of(k), values = values_of(v);
  const std::vector<double> a_k = values_of(terms.relative_keys), a_v = values_of(terms.relative_values);
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t h = 0; h < 4; ++h)
      for (int64_t i = 0; i < 9; ++i) {
        std::vector<double> e(13), z(5, 0.0);
        double sum = 0;
        const auto row_of = [&](int64_t j) {
          return std::clamp<int64_t>(j - (i + 4), -kClip, kClip) + kClip;
        };
        for (int64_t j = 0; j < 13; ++j) {
          for (int64_t c = 0; c < 5; ++c)
            e[j] += queries[((b * 9 + i) * 4 + h) * 5 + c] *
                    (keys[((b * 13 + j) * 2 + h / 2) * 5 + c] + a_k[row_of(j) * 5 + c]);
          sum += e[j] = std::exp(0.4 * e[j]);
        }
        for (int64_t j = 0; j < 13; ++j) {
          EXPECT_NEAR(p[((b * 4 + h) * 9 + i) * 13 + j], e[j] / sum, bound);
          for (int64_t c = 0; c < 5; ++c)
            z[c] += e[j] / sum * (values[((b * 13 + j) * 2 + h / 2) * 5 + c] + a_v[row_of(j) * 5 + c]);
        }
        for (int64_t c = 0; c < 5; ++c) EXPECT_NEAR(given[((b * 9 + i) * 4 + h) * 5 + c], z[c], bound);
      }
}

/// ((q + u) . k + (q + v) . r of the distance), the definition of Transformer-XL's scores.
TEST_P(ScoredAttention, DistancesHaveTheirOwnEmbeddingAndBias) {
  terms.distances = draw({9 + 13 - 1, 20}, 11);
  terms.content_bias = draw({4, 5}, 12);
  terms.position_bias = draw({4, 5}, 13);
  Tensor out = like(q);
  const std::vector<double> p = values_of(probabilities_of(out));
  const std::vector<double> queries = values_of(q), keys = values_of(k), r = values_of(terms.distances);
  const std::vector<double> u = values_of(terms.content_bias), w = values_of(terms.position_bias);
  for (int64_t row = 0; row < 2 * 4 * 9; ++row) {
    const int64_t b = row / 36, h = row / 9 % 4, i = row % 9;
    std::vector<double> e(13);
    double sum = 0;
    for (int64_t j = 0; j < 13; ++j) {
      int64_t distance_row = 0;
      while (ops::distance_of_row(shape, options.mask, distance_row) != i + 4 - j) ++distance_row;
      for (int64_t c = 0; c < 5; ++c) {
        const double query = queries[((b * 9 + i) * 4 + h) * 5 + c];
        e[j] += (query + u[h * 5 + c]) * keys[((b * 13 + j) * 2 + h / 2) * 5 + c] +
                (query + w[h * 5 + c]) * r[(distance_row * 4 + h) * 5 + c];
      }
      sum += e[j] = std::exp(0.4 * e[j]);
    }
    for (int64_t j = 0; j < 13; ++j) EXPECT_NEAR(p[row * 13 + j], e[j] / sum, bound);
  }
}

TEST_P(ScoredAttention, TheAdditiveScoreIsAVectorOverATanh) {
  terms.additive = draw({4, 5}, 11);
  Tensor out = like(q);
  const std::vector<double> p = values_of(probabilities_of(out));
  const std::vector<double> queries = values_of(q), keys = values_of(k), w = values_of(terms.additive);
  for (int64_t row = 0; row < 2 * 4 * 9; ++row) {
    const int64_t b = row / 36, h = row / 9 % 4, i = row % 9;
    std::vector<double> e(13);
    double sum = 0;
    for (int64_t j = 0; j < 13; ++j) {
      for (int64_t c = 0; c < 5; ++c)
        e[j] += w[h * 5 + c] *
                std::tanh(queries[((b * 9 + i) * 4 + h) * 5 + c] + keys[((b * 13 + j) * 2 + h / 2) * 5 + c]);
      sum += e[j] = std::exp(0.4 * e[j]);
    }
    for (int64_t j = 0; j < 13; ++j) EXPECT_NEAR(p[row * 13 + j], e[j] / sum, bound);
  }
}

TEST_P(ScoredAttention, GivesZerosForKeysOfACacheThatAreNotThere) {
  shape.key_capacity = 15;
  k = draw({30, 10}, 2);
  v = draw({30, 10}, 3);
  Tensor out = like(q), d_q = like(q), d_k = like(k), d_v = like(v);
  const Tensor probabilities = probabilities_of(out);
  ops::scored_attention_backward(context, shape, options, terms, q, k, v, probabilities, d_out, Tensor(), d_q,
                                 d_k, d_v, d_terms);
  for (const Tensor& gradient : {d_k, d_v})
    for (const int64_t row : {13, 14, 28, 29})
      expect_near(gradient.slice(0, row, 1), std::vector<double>(10, 0.0), 0.0);
}

TEST(AlibiSlopes, FollowThePapersRule) {
  const auto expect_slopes = [](const std::vector<double>& slopes, const std::vector<double>& exponents) {
    ASSERT_EQ(slopes.size(), exponents.size());
    for (size_t i = 0; i < slopes.size(); ++i) EXPECT_DOUBLE_EQ(slopes[i], std::exp2(-exponents[i]));
  };
  expect_slopes(ops::alibi_slopes(8, 0, 8), {1, 2, 3, 4, 5, 6, 7, 8});
  expect_slopes(ops::alibi_slopes(16, 4, 2), {2.5, 3});
  // Twelve heads: those of eight, then every second one of sixteen.
  expect_slopes(ops::alibi_slopes(12, 0, 12), {1, 2, 3, 4, 5, 6, 7, 8, 0.5, 1.5, 2.5, 3.5});
}

TEST_P(ScoredAttention, RefusesTermsThatDoNotFit) {
  Tensor out = like(q), probabilities = room();
  const auto refusal = [&](const ops::ScoreTerms& wrong) {
    return message_of<ShapeError>(
        [&] { ops::scored_attention_forward(context, shape, options, wrong, q, k, v, out, probabilities); });
  };
  EXPECT_THAT(refusal({.relative_keys = draw({4, 5}, 1)}),
              HasSubstr("relative_keys has shape [4, 5]; expected [2k + 1, 5]"));
  EXPECT_THAT(refusal({.distances = draw({20, 20}, 1)}),
              HasSubstr("distances has shape [20, 20]; expected [21, 20]"));
  EXPECT_THAT(refusal({.distances = draw({21, 20}, 1)}), HasSubstr("expected all three or none"));
  EXPECT_THAT(refusal({.slopes = {1.0}}), HasSubstr("slopes has 1 elements; expected 4, one a head"));
  EXPECT_THAT(refusal({.relative_keys = draw({3, 5}, 1), .additive = draw({4, 5}, 1)}),
              HasSubstr("expected one kind of score"));
  Tensor d_q = like(q), d_k = like(k), d_v = like(v);
  EXPECT_THAT(message_of<ShapeError>([&] {
                ops::scored_attention_backward(context, shape, options, {.additive = draw({4, 5}, 1)}, q, k,
                                               v, probabilities, d_out, Tensor(), d_q, d_k, d_v, d_terms);
              }),
              HasSubstr("additive lacks a gradient"));
}

INSTANTIATE_TEST_SUITE_P(Types, ScoredAttention, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace trireme
