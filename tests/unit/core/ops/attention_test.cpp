#include "core/ops/attention.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>

#include "core/base/error.h"
#include "core/ops/gemm.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerances.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::random_tensor;
using testing::tensor_of;
using testing::values_of;

constexpr double kNothing = -std::numeric_limits<double>::infinity();

/// One call's inputs and outputs; every tensor contiguous.
struct Attention {
  Attention(Context& context, const ops::AttentionShape& shape, DType dtype, uint64_t seed) : shape(shape) {
    const int64_t rows = shape.num_samples * shape.query_length, q_cols = shape.num_heads * shape.head_dim;
    const int64_t key_rows = shape.num_samples * shape.key_length,
                  k_cols = shape.num_query_groups * shape.head_dim;
    q = random_tensor(context, {rows, q_cols}, DType::kFloat32, dtype, seed);
    k = random_tensor(context, {key_rows, k_cols}, DType::kFloat32, dtype, seed + 1);
    v = random_tensor(context, {key_rows, k_cols}, DType::kFloat32, dtype, seed + 2);
    d_out = random_tensor(context, {rows, q_cols}, DType::kFloat32, dtype, seed + 3);
    out = context.workspace(q.shape(), dtype);
    d_q = context.workspace(q.shape(), dtype);
    d_k = context.workspace(k.shape(), dtype);
    d_v = context.workspace(v.shape(), dtype);
    log_sum_exp = context.workspace({shape.num_samples, shape.num_heads, shape.query_length},
                                    dtype == DType::kFloat64 ? dtype : DType::kFloat32);
    options.scale = 1.0 / std::sqrt(static_cast<double>(shape.head_dim));
    options.dropout_key = RandomKey::make(1, RandomPurpose::kDropout, 2, 3);
    options.sample_ids = context.workspace({shape.num_samples}, DType::kInt64);
    for (int64_t sample = 0; sample < shape.num_samples; ++sample)
      options.sample_ids.data<int64_t>()[sample] = 11 + sample;
  }
  void forward(Context& context) {
    ops::attention_forward(context, shape, options, q, k, v, out, log_sum_exp);
  }
  void backward(Context& context) {
    ops::attention_backward(context, shape, options, q, k, v, out, log_sum_exp, d_out, d_q, d_k, d_v);
  }

  ops::AttentionShape shape;
  ops::AttentionOptions options;
  Tensor q, k, v, out, log_sum_exp, d_out, d_q, d_k, d_v;
};

class AttentionTypes : public ::testing::TestWithParam<DType> {
 protected:
  Context context;
  const DType dtype = GetParam();
  const double bound = dtype == DType::kFloat64 ? 1e-13 : 2e-6;
};

// Expected values: PyTorch 2.13.0 in float64, scaled_dot_product_attention(is_causal=True, enable_gqa=True).
TEST_P(AttentionTypes, GivesPyTorchsValuesForTwoHeadsOfOneGroup) {
  Attention attention(context, {1, 3, 3, 2, 1, 2}, dtype, 1);
  attention.q = tensor_of(context, {3, 4}, {0.5, -1, 2, 0.25, 1, 1, -0.5, 0.75, -1.5, 0.5, 1, -2}, dtype);
  attention.k = tensor_of(context, {3, 2}, {1, 0.5, -0.25, 2, 0.75, -1}, dtype);
  attention.v = tensor_of(context, {3, 2}, {2, -1, 0.5, 1.5, -3, 0.25}, dtype);
  attention.d_out = tensor_of(context, {3, 4}, {1, -1, 0.5, 2, 0.25, 1, -1, 0.5, 2, -0.5, 1, 1}, dtype);
  attention.options.mask.causal = true;
  attention.forward(context);
  expect_near(
      attention.out,
      {2.0, -1.0, 2.0, -1.0, 1.1838808349761611, 0.36019860837306494, 0.8373236768187704, 0.9377938719687162,
       0.35491629030357874, 1.0764414912744997, -2.3565460434974868, 0.10222715712625143},
      bound);
  // Row 0 sees key 0 only, so its log-sum-exp is the score itself.
  expect_near(attention.log_sum_exp,
              {0.0, 1.8460968742963781, 1.2161160675711837, 1.5026019100214134, 1.403789104703728,
               2.0844253127210384},
              bound);
  attention.backward(context);
  expect_near(
      attention.d_q,
      {0.0, 0.0, 0.0, 0.0, -0.4659136575152161, 0.5590963890182594, -0.42369256685658685, 0.5084310802279044,
       0.0502640310600026, 0.6924951045567294, 0.05302168854749095, 0.48491617385374935},
      bound);
  expect_near(attention.d_k,
              {-0.4792314802068195, -1.0119770795146035, 0.15663386207773067, 0.6116001743439864,
               0.3225976181290889, 0.4003769051706175},
              bound);
  expect_near(attention.d_v,
              {1.758389234540647, 1.6315121186313273, 0.9342819703804877, 0.5459936833084669,
               1.057328795078866, 0.8224941980602061},
              bound);
}

TEST_P(AttentionTypes, MatchesTheCompositionThatKeepsTheMatrixOfScores) {
  constexpr int64_t kT = 80, kK = 24;
  Attention attention(context, {1, kT, kT, 1, 1, kK}, dtype, 5);
  attention.options.mask.causal = true;
  attention.forward(context);
  Tensor scores = context.workspace({kT, kT}, dtype), expected = context.workspace({kT, kK}, dtype);
  ops::gemm(context, attention.q, attention.k, scores, {.transpose_b = true});
  dispatch_floating(dtype, [&]<class T>(T) {
    for (int64_t row = 0; row < kT; ++row) {
      double sum = 0;
      std::vector<double> weights(kT, 0.0);
      for (int64_t col = 0; col <= row; ++col)
        sum += weights[col] = std::exp(attention.options.scale * static_cast<float>(scores.row<T>(row)[col]));
      for (int64_t col = 0; col < kT; ++col)
        scores.row<T>(row)[col] = T(static_cast<float>(weights[col] / sum));
    }
  });
  ops::gemm(context, scores, attention.v, expected);
  EXPECT_LE(testing::relative_error(attention.out, expected), testing::tolerance(DType::kFloat32));
}

TEST_P(AttentionTypes, PartsOfTheKeysMergeToTheWhole) {
  constexpr int64_t kT = 40, kS = 100, kCut = 30, kH = 2, kK = 16;
  Attention whole(context, {1, kT, kS, kH, kH, kK}, dtype, 9);
  whole.options.dropout = 0.25;
  whole.options.mask.causal = true;
  whole.options.mask.query_offset = kS - kT;
  whole.forward(context);
  whole.backward(context);

  std::vector<double> merged(kT * kH * kK, 0.0), d_q(kT * kH * kK, 0.0);
  for (const auto& [begin, length] : {std::pair{int64_t{0}, kCut}, std::pair{kCut, kS - kCut}}) {
    Attention part(context, {1, kT, length, kH, kH, kK}, dtype, 9);
    part.options = whole.options;
    part.options.mask.query_offset = whole.options.mask.query_offset - begin;
    part.options.key_offset = begin;
    part.q = whole.q;
    part.d_out = whole.d_out;
    part.k = whole.k.slice(0, begin, length);
    part.v = whole.v.slice(0, begin, length);
    part.forward(context);
    const std::vector<double> out = values_of(part.out), log_sum = values_of(part.log_sum_exp),
                              total = values_of(whole.log_sum_exp);
    for (int64_t query = 0; query < kT; ++query)
      for (int64_t col = 0; col < kH * kK; ++col) {
        const int64_t row = col / kK * kT + query;
        merged[query * kH * kK + col] += std::exp(log_sum[row] - total[row]) * out[query * kH * kK + col];
      }
    part.out = whole.out;
    part.log_sum_exp = whole.log_sum_exp;
    part.backward(context);
    const std::vector<double> contribution = values_of(part.d_q);
    for (size_t i = 0; i < d_q.size(); ++i) d_q[i] += contribution[i];
    expect_near(part.d_k, values_of(whole.d_k.slice(0, begin, length)), 20 * bound);
    expect_near(part.d_v, values_of(whole.d_v.slice(0, begin, length)), 20 * bound);
  }
  expect_near(whole.out, merged, 20 * bound);
  expect_near(whole.d_q, d_q, 20 * bound);
}

TEST_P(AttentionTypes, AQueryThatSeesNothingGivesZerosAndNoGradient) {
  Attention attention(context, {1, 4, 6, 1, 1, 8}, dtype, 2);
  attention.options.mask.key_begin = tensor_of(context, {1, 4}, {0, 3, 6, 0}, DType::kInt32);
  attention.options.mask.key_end = tensor_of(context, {1, 4}, {0, 3, 9, 2}, DType::kInt32);
  attention.forward(context);
  attention.backward(context);
  const std::vector<double> zeros(8, 0.0);
  for (int64_t query = 0; query < 3; ++query) {
    expect_near(attention.out.slice(0, query, 1), zeros, 0);
    expect_near(attention.d_q.slice(0, query, 1), zeros, 0);
    EXPECT_EQ(values_of(attention.log_sum_exp)[query], kNothing);
  }
  EXPECT_TRUE(std::isfinite(values_of(attention.log_sum_exp)[3]));
  EXPECT_NE(values_of(attention.d_v)[0], 0.0);
  expect_near(attention.d_k.slice(0, 2, 4), std::vector<double>(32, 0.0), 0);  // seen by nobody
}

TEST_P(AttentionTypes, OneQueryOverACacheGivesTheLastRowOfTheWhole) {
  constexpr int64_t kT = 50, kCapacity = 64;
  Attention whole(context, {2, kT, kT, 2, 1, 16}, dtype, 4);
  whole.options.mask.causal = true;
  whole.forward(context);
  Attention step(context, {2, 1, kT, 2, 1, 16, kCapacity}, dtype, 4);
  step.k = context.zeros({2 * kCapacity, 16}, dtype, MemoryCategory::kActivations);
  step.v = context.zeros({2 * kCapacity, 16}, dtype, MemoryCategory::kActivations);
  for (int64_t sample = 0; sample < 2; ++sample) {
    const auto copy = [&](const Tensor& from, int64_t from_row, const Tensor& to, int64_t to_row,
                          int64_t rows) {
      std::memcpy(to.slice(0, to_row, rows).raw(), from.slice(0, from_row, rows).raw(),
                  static_cast<size_t>(rows * from.cols() * size_of(dtype)));
    };
    copy(whole.k, sample * kT, step.k, sample * kCapacity, kT);
    copy(whole.v, sample * kT, step.v, sample * kCapacity, kT);
    copy(whole.q, sample * kT + kT - 1, step.q, sample, 1);
  }
  step.options.mask.causal = true;
  step.options.mask.query_offset = kT - 1;
  step.forward(context);
  for (int64_t sample = 0; sample < 2; ++sample)
    expect_near(step.out.slice(0, sample, 1), values_of(whole.out.slice(0, sample * kT + kT - 1, 1)), bound);
}

/// With q = 0 and v the identity, the output shows the probabilities: 0 or 1 / (T (1 - p)).
std::vector<double> kept_probabilities(Context& context, DType dtype, double probability, int64_t key_begin,
                                       int64_t num_keys, int64_t head_offset, uint64_t step) {
  constexpr int64_t kT = 64;
  Attention attention(context, {2, kT, num_keys, 1, 1, kT}, dtype, 1);
  std::vector<double> identity(2 * num_keys * kT, 0.0);
  for (int64_t key = 0; key < num_keys; ++key)
    for (int64_t sample = 0; sample < 2; ++sample)
      identity[(sample * num_keys + key) * kT + key_begin + key] = 1.0;
  attention.v = tensor_of(context, {2 * num_keys, kT}, identity, dtype);
  std::memset(attention.q.raw(), 0, static_cast<size_t>(attention.q.num_bytes()));
  attention.options.dropout = probability;
  attention.options.dropout_key = RandomKey::make(7, RandomPurpose::kDropout, step, 0);
  attention.options.head_offset = head_offset;
  attention.options.key_offset = key_begin;
  attention.options.mask.query_offset = -key_begin;
  attention.forward(context);
  return values_of(attention.out);
}

TEST_P(AttentionTypes, DropoutKeepsTheRightShareAndItsMaskIsAFunctionOfKeyHeadAndPosition) {
  constexpr double kProbability = 0.3;
  const std::vector<double> kept = kept_probabilities(context, dtype, kProbability, 0, 64, 0, 1);
  int64_t dropped = 0;
  for (const double value : kept) {
    if (value == 0.0)
      ++dropped;
    else
      EXPECT_NEAR(value, 1.0 / 64 / (1 - kProbability), bound);
  }
  const double count = static_cast<double>(kept.size());
  EXPECT_NEAR(static_cast<double>(dropped), kProbability * count,
              4 * std::sqrt(count * kProbability * (1 - kProbability)));
  EXPECT_EQ(kept, kept_probabilities(context, dtype, kProbability, 0, 64, 0, 1));
  EXPECT_NE(kept, kept_probabilities(context, dtype, kProbability, 0, 64, 0, 2));
  EXPECT_NE(kept, kept_probabilities(context, dtype, kProbability, 0, 64, 1, 1));
  // The keys 18 to 63 as a part of their own: the same keys are dropped.
  const std::vector<double> part = kept_probabilities(context, dtype, kProbability, 18, 46, 0, 1);
  for (size_t i = 0; i < kept.size(); ++i)
    if (i % 64 >= 18) {
      EXPECT_EQ(kept[i] == 0.0, part[i] == 0.0) << i;
    }
}

TEST_P(AttentionTypes, RefusesWhatDoesNotFit) {
  const auto refusal = [&](ops::AttentionShape shape, const std::function<void(Attention&)>& change) {
    Attention attention(context, shape, dtype, 1);
    change(attention);
    return message_of<ShapeError>([&] {
      attention.forward(context);
      attention.backward(context);
    });
  };
  const ops::AttentionShape shape{2, 3, 3, 4, 2, 8};
  const auto nothing = [](Attention&) {};
  EXPECT_THAT(refusal({2, 3, 3, 4, 3, 8}, nothing), HasSubstr("4 heads and 3 query groups"));
  EXPECT_THAT(refusal({2, 3, 3, 4, 2, 8, 2}, nothing), HasSubstr("3 keys and key_capacity 2"));
  EXPECT_THAT(refusal(shape, [](Attention& a) { a.shape.query_length = 4; }),
              HasSubstr("attention_forward: q has shape [6, 32]; expected [8, 32]"));
  EXPECT_THAT(refusal(shape, [](Attention& a) { a.v = a.q; }),
              HasSubstr("v has shape [6, 32]; expected [6, 16]"));
  EXPECT_THAT(refusal(shape, [](Attention& a) { a.options.dropout = 1.0; }), HasSubstr("[0, 1)"));
  EXPECT_THAT(refusal(shape,
                      [](Attention& a) {
                        a.options.dropout = 0.1;
                        a.options.sample_ids = Tensor();
                      }),
              HasSubstr("sample_ids is undefined"));
  EXPECT_THAT(
      refusal(shape, [&](Attention& a) { a.options.mask.key_end = context.workspace({6}, DType::kInt32); }),
      HasSubstr("key_end has shape [6]; expected [2, 3]"));
  EXPECT_THAT(refusal(shape,
                      [&](Attention& a) {
                        a.k = context.workspace({6, 16}, DType::kBFloat16);
                      }),
              HasSubstr("k is bfloat16"));
  EXPECT_THAT(refusal(shape, [](Attention& a) { a.d_k = a.q; }),
              HasSubstr("attention_backward: d_k has shape"));
}

INSTANTIATE_TEST_SUITE_P(Types, AttentionTypes, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

/// sum(out * d_out), whose derivatives backward gives.
double objective(Context& context, Attention& attention) {
  attention.forward(context);
  const std::vector<double> out = values_of(attention.out), d_out = values_of(attention.d_out);
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) sum += out[i] * d_out[i];
  return sum;
}

TEST(AttentionGradient, IsTheCentralDifferenceOfForward) {
  Context context;
  Attention attention(context, {2, 5, 7, 4, 2, 3}, DType::kFloat64, 3);
  attention.options.mask.causal = true;
  attention.options.mask.query_offset = 2;
  attention.options.dropout = 0.2;
  attention.forward(context);
  attention.backward(context);
  constexpr double kStep = 1e-6;
  for (const auto& [input, gradient] :
       {std::pair{attention.q, attention.d_q}, std::pair{attention.k, attention.d_k},
        std::pair{attention.v, attention.d_v}}) {
    const std::vector<double> expected = values_of(gradient);
    for (int64_t i = 0; i < input.num_elements(); ++i) {
      double& element = input.data<double>()[i];
      const double value = element;
      element = value + kStep;
      const double above = objective(context, attention);
      element = value - kStep;
      const double below = objective(context, attention);
      element = value;
      EXPECT_NEAR((above - below) / (2 * kStep), expected[i], 1e-8);
    }
  }
}

TEST(AttentionGradient, IsTheSameBitsInWholeGroupsAndInRanges) {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    Context context;
    Attention whole(context, {1, 600, 600, 2, 1, 16}, dtype, 8),
        ranges(context, {1, 600, 600, 2, 1, 16}, dtype, 8);
    for (Attention* attention : {&whole, &ranges}) {
      context.num_threads = attention == &whole ? 1 : 8;  // one group keeps one thread busy, not eight
      attention->options.mask.causal = true;
      attention->forward(context);
      attention->backward(context);
    }
    EXPECT_EQ(values_of(whole.out), values_of(ranges.out));
    EXPECT_EQ(values_of(whole.d_q), values_of(ranges.d_q));
    EXPECT_EQ(values_of(whole.d_k), values_of(ranges.d_k));
    EXPECT_EQ(values_of(whole.d_v), values_of(ranges.d_v));
  }
}

TEST(Attention, KeepsNoMatrixOfScoresInMemory) {
  Context context;
  constexpr int64_t kT = 2048;
  Attention attention(context, {1, kT, kT, 1, 1, 16}, DType::kFloat32, 8);
  const int64_t before = context.allocator.ledger().total;
  context.allocator.reset_peak();
  attention.forward(context);
  attention.backward(context);
  EXPECT_LT(context.allocator.ledger().peak - before, kT * kT / 2);  // bytes; the matrix would take 4 T^2
  EXPECT_EQ(context.allocator.ledger().total, before);
}

}  // namespace
}  // namespace trireme
