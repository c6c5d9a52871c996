// Attention's other forms against finite differences in float64: two inputs, a shared projection, terms in
// the scores, losses on the probabilities.

#include <gtest/gtest.h>

#include "core/autograd/functions/disagreement.h"
#include "core/autograd/functions/scored_attention.h"
#include "core/base/error.h"
#include "tests/support/test_batch.h"
#include "tests/support/test_parameters.h"
#include "tests/support/values.h"

namespace trireme::testing {
namespace {

constexpr int64_t kSamples = 2, kQueries = 4, kKeys = 6, kHeads = 4, kGroups = 2, kDim = 3;

class ScoredAttentionGradients : public ::testing::Test {
 protected:
  ScoredAttentionGradients() : batch_(random_batch(context_, kSamples, kQueries, 3, 1, 40)) {
    arguments_.shape = {kSamples, kQueries, kKeys, kHeads, kGroups, kDim};
    arguments_.options.scale = 0.5;
    arguments_.options.sample_ids = batch_.sample_ids;
    arguments_.options.mask.query_offset = 2;
    arguments_.positions = batch_.positions;
  }
  Tensor draw(const Shape& shape, uint64_t seed) {
    return strided_normal_tensor(context_, shape, DType::kFloat64, seed);
  }
  /// [query] and [key | value].
  std::vector<Tensor> cross_inputs() {
    return {draw({kSamples * kQueries, kHeads * kDim}, 3), draw({kSamples * kKeys, 2 * kGroups * kDim}, 5)};
  }
  void expect_right(const std::vector<Tensor>& inputs,
                    std::function<std::vector<Variable>(Context&, const std::vector<Variable>&)> forward) {
    const GradientCheck check = check_gradients(context_, {inputs, parameters_.all(), std::move(forward)});
    EXPECT_LE(check.error, 1e-8) << "worst: " << check.worst;
  }
  /// Cross-attention, without and with a causal mask, padded keys and dropout; both outputs are roots.
  void expect_right(const ScoreParameters& terms, std::vector<Tensor> inputs) {
    const bool distances = inputs.size() == 3;
    const auto forward = [=, this](Context& c, const auto& in) -> std::vector<Variable> {
      const ScoredAttention result =
          scored_attention(c, {in[0], in[1]}, distances ? in[2] : Variable(), arguments_, terms);
      return {result.out, result.probabilities};
    };
    expect_right(inputs, forward);
    arguments_.options.mask.causal = true;
    arguments_.options.mask.key_end = context_.workspace({kSamples, kQueries}, DType::kInt32);
    for (int i = 0; i < kSamples * kQueries; ++i)
      arguments_.options.mask.key_end.data<int32_t>()[i] = i < kQueries ? 5 : i % 3;
    arguments_.options.dropout = 0.3;
    arguments_.options.dropout_key = RandomKey::make(1, RandomPurpose::kDropout, 2, 3);
    expect_right(inputs, forward);
  }

  Context context_;
  TestParameters parameters_;
  Batch batch_;
  AttentionArguments arguments_;
};

TEST_F(ScoredAttentionGradients, OfPlainCrossAttentionOverTwoInputs) {
  arguments_.options.mask.causal = true;
  expect_right(cross_inputs(), [&](Context& c, const auto& in) -> std::vector<Variable> {
    return {attention(c, {in[0], in[1]}, arguments_)};
  });
}

TEST_F(ScoredAttentionGradients, OfStatesThatAreBothKeysAndValues) {
  expect_right({draw({kSamples * kQueries, kHeads * kDim}, 3), draw({kSamples * kKeys, kGroups * kDim}, 5)},
               [&](Context& c, const auto& in) -> std::vector<Variable> {
                 return {attention(c, {in[0], in[1], in[1]}, arguments_),
                         scored_attention(c, {in[0], in[1], in[1]}, Variable(), arguments_, {}).out};
               });
}

TEST_F(ScoredAttentionGradients, OfOneProjectionForQueriesAndKeys) {
  arguments_.shape.key_length = kQueries;
  arguments_.shape.num_query_groups = kHeads;
  arguments_.shape.head_dim = 4;
  for (const bool rotary : {false, true}) {
    if (rotary) arguments_.rotary = ops::RotaryOptions{.theta = 50.0};
    const std::vector<Tensor> inputs = {draw({kSamples * kQueries, 2 * kHeads * 4}, 3)};
    expect_right(inputs, [&](Context& c, const auto& in) -> std::vector<Variable> {
      return {attention(c, {in[0], AttentionInputs::Packing::kSharedKeyValue}, arguments_)};
    });
    expect_right(inputs, [&](Context& c, const auto& in) -> std::vector<Variable> {
      return {
          scored_attention(c, {in[0], AttentionInputs::Packing::kSharedKeyValue}, Variable(), arguments_, {})
              .out};
    });
  }
}

TEST_F(ScoredAttentionGradients, OfOnePackedProjectionWithRotaryPositions) {
  arguments_.shape.key_length = kQueries;
  arguments_.shape.head_dim = 4;
  arguments_.rotary = ops::RotaryOptions{.theta = 50.0};
  expect_right({draw({kSamples * kQueries, (kHeads + 2 * kGroups) * 4}, 3)},
               [&](Context& c, const auto& in) -> std::vector<Variable> {
                 return {scored_attention(c, in[0], Variable(), arguments_, {}).out};
               });
}

TEST_F(ScoredAttentionGradients, WithoutTerms) {
  expect_right({}, cross_inputs());
}

TEST_F(ScoredAttentionGradients, OfClippedKeysAndValues) {
  Parameter& keys = parameters_.add("keys", {5, kDim});
  Parameter& values = parameters_.add("values", {3, kDim});
  parameters_.allocate(context_);
  expect_right({.relative_keys = &keys, .relative_values = &values}, cross_inputs());
}

TEST_F(ScoredAttentionGradients, OfClippedKeysAlone) {
  Parameter& keys = parameters_.add("keys", {3, kDim});
  parameters_.allocate(context_);
  expect_right({.relative_keys = &keys}, cross_inputs());
}

TEST_F(ScoredAttentionGradients, OfDistancesAndTheirBiases) {
  Parameter& content = parameters_.add("content", {kHeads, kDim});
  Parameter& position = parameters_.add("position", {kHeads, kDim});
  parameters_.allocate(context_);
  std::vector<Tensor> inputs = cross_inputs();
  inputs.push_back(draw({kQueries + kKeys - 1, kHeads * kDim}, 9));
  expect_right({.content_bias = &content, .position_bias = &position}, inputs);
}

TEST_F(ScoredAttentionGradients, OfSlopes) {
  expect_right({.slopes = ops::alibi_slopes(kHeads, 0, kHeads)}, cross_inputs());
}

TEST_F(ScoredAttentionGradients, OfTheAdditiveScore) {
  Parameter& vector = parameters_.add("vector", {kHeads, kDim});
  parameters_.allocate(context_);
  expect_right({.additive = &vector}, cross_inputs());
}

TEST_F(ScoredAttentionGradients, ComeFromTheProbabilitiesAloneToo) {
  expect_right(cross_inputs(), [&](Context& c, const auto& in) -> std::vector<Variable> {
    return {scored_attention(c, {in[0], in[1]}, Variable(), arguments_, {}).probabilities};
  });
}

TEST_F(ScoredAttentionGradients, RotaryPositionsAreRefusedForCrossAttention) {
  arguments_.rotary = ops::RotaryOptions{};
  const std::vector<Tensor> inputs = cross_inputs();
  EXPECT_THROW(attention(context_, {Variable(inputs[0]), Variable(inputs[1])}, arguments_), ConfigError);
}

class DisagreementGradients : public ScoredAttentionGradients {
 protected:
  DisagreementGradients() {
    counted_ = context_.workspace({kSamples * kQueries}, DType::kInt32);
    for (int i = 0; i < kSamples * kQueries; ++i) counted_.data<int32_t>()[i] = i % 3 == 1 ? 0 : 1;
  }
  Tensor counted_;
};

TEST_F(DisagreementGradients, OfHeadsInsideAWiderMatrix) {
  for (const Tensor& counted : {Tensor(), counted_})
    expect_right({draw({kSamples * kQueries, 20}, 3)},
                 [&](Context& c, const auto& in) -> std::vector<Variable> {
                   return {head_disagreement(c, in[0], {kSamples, 5, kHeads, kDim}, counted)};
                 });
}

TEST_F(DisagreementGradients, OfAttentionMaps) {
  for (const Tensor& counted : {Tensor(), counted_})
    expect_right(cross_inputs(), [&](Context& c, const auto& in) -> std::vector<Variable> {
      const ScoredAttention result = scored_attention(c, {in[0], in[1]}, Variable(), arguments_, {});
      return {result.out, map_disagreement(c, result.probabilities, counted)};
    });
}

TEST_F(DisagreementGradients, AreAddedToWhatALossBesideThemGives) {
  constexpr double kWeight = -0.3;
  const Tensor x = draw({kSamples * kQueries, kHeads * kDim}, 3), d_y = draw(x.shape(), 4);
  const HeadColumns columns{kSamples, 0, kHeads, kDim};
  const auto gradient_of = [&](auto roots) {
    const Variable leaf = Variable::leaf(context_, x);
    backward(context_, roots(leaf));
    return values_of(leaf.gradient());
  };
  using Roots = std::vector<std::pair<Variable, Tensor>>;
  const std::vector<double> term = gradient_of([&](const Variable& leaf) {
    return Roots{{head_disagreement(context_, leaf, columns, counted_),
                  tensor_of(context_, {1}, {kWeight}, DType::kFloat64)}};
  });
  const std::vector<double> both = gradient_of([&](const Variable& leaf) {
    const Variable y = joined(context_, leaf, head_disagreement(context_, leaf, columns, counted_), kWeight);
    EXPECT_EQ(values_of(y.value()), values_of(x));
    return Roots{{y, d_y}};
  });
  const std::vector<double> of_y = values_of(d_y);
  for (size_t i = 0; i < both.size(); ++i) EXPECT_NEAR(both[i], of_y[i] + term[i], 1e-15);
}

}  // namespace
}  // namespace trireme::testing
