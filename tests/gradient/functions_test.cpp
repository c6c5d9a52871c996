// Every Function's backward against finite differences in float64.

#include <gtest/gtest.h>

#include "core/autograd/functions/activation.h"
#include "core/autograd/functions/add.h"
#include "core/autograd/functions/dropout.h"
#include "core/autograd/functions/embedding.h"
#include "core/autograd/functions/linear.h"
#include "core/autograd/functions/linear_cross_entropy.h"
#include "core/autograd/functions/recompute.h"
#include "core/autograd/functions/residual_norm.h"
#include "core/autograd/functions/rotary.h"
#include "tests/support/test_batch.h"
#include "tests/support/test_parameters.h"

namespace trireme::testing {
namespace {

constexpr double kBound = 1e-8;

class FunctionGradients : public ::testing::Test {
 protected:
  void expect_right(const GradientCase& gradient_case) {
    const GradientCheck check = check_gradients(context_, gradient_case);
    EXPECT_LE(check.error, kBound) << "worst: " << check.worst;
  }
  Tensor normal(const Shape& shape, uint64_t seed) {
    return normal_tensor(context_, shape, DType::kFloat64, seed);
  }
  Tensor strided(const Shape& shape, uint64_t seed) {
    return strided_normal_tensor(context_, shape, DType::kFloat64, seed);
  }
  ops::DropoutOptions dropout_options(int64_t num_samples, int64_t length) {
    const Batch batch = random_batch(context_, num_samples, length, 3, 1, 17);
    return {.probability = 0.4,
            .key = RandomKey::make(5, RandomPurpose::kDropout, 3, 9),
            .sample_ids = batch.sample_ids,
            .positions = batch.positions};
  }
  Context context_;
  TestParameters parameters_;
};

TEST_F(FunctionGradients, OfLinearWithBiasOnStridedRows) {
  Parameter& weight = parameters_.add("weight", {4, 6});
  Parameter& bias = parameters_.add("bias", {4});
  parameters_.allocate(context_);
  expect_right(
      {{strided({2, 3, 6}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
         return {linear(c, in[0], weight, &bias)};
       }});
}

TEST_F(FunctionGradients, OfLinearWithoutBias) {
  Parameter& weight = parameters_.add("weight", {4, 6});
  parameters_.allocate(context_);
  expect_right(
      {{normal({5, 6}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
         return {linear(c, in[0], weight, nullptr)};
       }});
}

TEST_F(FunctionGradients, OfAWeightThatIsUsedTwice) {
  Parameter& weight = parameters_.add("weight", {6, 6});
  parameters_.allocate(context_);
  expect_right(
      {{normal({3, 6}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
         const Variable once = linear(c, in[0], weight, nullptr);
         return {once, linear(c, once, weight, nullptr)};
       }});
}

TEST_F(FunctionGradients, OfEmbeddingWithRepeatedIds) {
  Parameter& table = parameters_.add("table", {5, 4});
  parameters_.allocate(context_);
  const Tensor ids = random_ids(context_, {2, 6}, 5, 3);
  expect_right({{}, parameters_.all(), [&](Context& c, const auto&) -> std::vector<Variable> {
                  return {embedding(c, table, ids)};
                }});
}

TEST_F(FunctionGradients, OfAddedEmbedding) {
  Parameter& table = parameters_.add("table", {3, 4});
  parameters_.allocate(context_);
  const Tensor ids = random_ids(context_, {2, 3}, 3, 3);
  expect_right(
      {{strided({6, 4}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
         return {add_embedding(c, in[0], table, ids)};
       }});
}

TEST_F(FunctionGradients, OfLayerNormAndRmsNorm) {
  Parameter& weight = parameters_.add("weight", {7});
  Parameter& bias = parameters_.add("bias", {7});
  parameters_.allocate(context_, 1.0, 0.3);
  for (const NormParameters& norm_parameters : {NormParameters{NormKind::kLayerNorm, 1e-5, &weight, &bias},
                                                NormParameters{NormKind::kLayerNorm, 1e-5, &weight, nullptr},
                                                NormParameters{NormKind::kRmsNorm, 1e-5, &weight, nullptr}})
    expect_right(
        {{strided({4, 7}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
           return {norm(c, norm_parameters, in[0])};
         }});
}

TEST_F(FunctionGradients, OfResidualNormWithDropoutAndBothOutputsUsed) {
  Parameter& weight = parameters_.add("weight", {8});
  Parameter& bias = parameters_.add("bias", {8});
  parameters_.allocate(context_, 1.0, 0.3);
  const ops::DropoutOptions on = dropout_options(2, 3);
  for (const ops::DropoutOptions& dropout : {ops::DropoutOptions{}, on})
    for (const NormParameters& norm_parameters : {NormParameters{NormKind::kLayerNorm, 1e-5, &weight, &bias},
                                                  NormParameters{NormKind::kRmsNorm, 1e-5, &weight, nullptr}})
      expect_right({{normal({6, 8}, 1), strided({6, 8}, 2)},
                    parameters_.all(),
                    [&](Context& c, const auto& in) -> std::vector<Variable> {
                      auto out = residual_norm(c, norm_parameters, dropout, in[0], in[1]);
                      return {out.sum, out.normalized};
                    }});
}

TEST_F(FunctionGradients, OfForkNorm) {
  Parameter& weight = parameters_.add("weight", {8});
  Parameter& bias = parameters_.add("bias", {8});
  parameters_.allocate(context_, 1.0, 0.3);
  const NormParameters norm_parameters{NormKind::kLayerNorm, 1e-5, &weight, &bias};
  expect_right(
      {{strided({6, 8}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
         auto out = fork_norm(c, norm_parameters, in[0]);
         return {out.sum, out.normalized};
       }});
}

TEST_F(FunctionGradients, OfResidualNormWithOneOutputUsed) {
  Parameter& weight = parameters_.add("weight", {8});
  parameters_.allocate(context_, 1.0, 0.3);
  const NormParameters norm_parameters{NormKind::kRmsNorm, 1e-5, &weight, nullptr};
  for (const bool use_sum : {false, true})
    expect_right({{normal({6, 8}, 1), normal({6, 8}, 2)},
                  parameters_.all(),
                  [&](Context& c, const auto& in) -> std::vector<Variable> {
                    auto out = residual_norm(c, norm_parameters, {}, in[0], in[1]);
                    return {use_sum ? out.sum : out.normalized};
                  }});
}

TEST_F(FunctionGradients, OfActivations) {
  for (const auto kind : {ops::Activation::kGeluTanh, ops::Activation::kGeluErf, ops::Activation::kRelu,
                          ops::Activation::kSigmoid, ops::Activation::kTanh})
    expect_right({{strided({4, 6}, 1)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
                    return {activation(c, kind, in[0])};
                  }});
}

TEST_F(FunctionGradients, OfSwiglu) {
  expect_right({{strided({4, 6}, 1)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
                  return {swiglu(c, in[0])};
                }});
}

TEST_F(FunctionGradients, OfRotary) {
  const Tensor positions = random_ids(context_, {5}, 100, 4);
  for (const bool interleaved : {false, true})
    expect_right({{strided({5, 12}, 1)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
                    return {rotary(c, {2, 6, 100.0, interleaved}, positions, in[0])};
                  }});
}

TEST_F(FunctionGradients, OfDropoutAndDropoutAdd) {
  const ops::DropoutOptions on = dropout_options(2, 3);
  expect_right({{strided({6, 8}, 1)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
                  return {dropout(c, on, in[0])};
                }});
  for (const ops::DropoutOptions& options : {ops::DropoutOptions{}, on})
    expect_right({{normal({6, 8}, 1), normal({6, 8}, 2)},
                  {},
                  [&](Context& c, const auto& in) -> std::vector<Variable> {
                    return {dropout_add(c, options, in[0], in[1])};
                  }});
}

TEST_F(FunctionGradients, OfAddWithTheSameInputTwice) {
  expect_right(
      {{normal({3, 4}, 1), normal({3, 4}, 2)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
         const Variable sum = add(c, in[0], in[1]);
         return {add(c, sum, in[0]), add(c, sum, sum)};
       }});
}

TEST_F(FunctionGradients, OfARecomputedPart) {
  Parameter& weight = parameters_.add("weight", {4, 6});
  Parameter& bias = parameters_.add("bias", {4});
  parameters_.allocate(context_);
  expect_right({{normal({5, 6}, 1), normal({5, 4}, 2)}, parameters_.all(), [&](Context& c, const auto& in) {
                  return recompute(
                      c, {&weight, &bias},
                      [&](Context& c, const auto& in) -> std::vector<Variable> {
                        const Variable y = linear(c, in[0], weight, &bias);
                        return {activation(c, ops::Activation::kGeluErf, y), add(c, y, in[1])};
                      },
                      in);
                }});
}

TEST_F(FunctionGradients, OfLinearCrossEntropyInOneChunkAndInMany) {
  Parameter& weight = parameters_.add("weight", {9, 4});
  parameters_.allocate(context_);
  const Batch batch = random_batch(context_, 2, 7, 9, 3);
  for (const int64_t chunk_bytes : {kLogitsChunkBytes, int64_t{9 * 8 * 3}, int64_t{1}})
    expect_right(
        {{strided({14, 4}, 1)},
         parameters_.all(),
         [&](Context& c, const auto& in) -> std::vector<Variable> {
           return {linear_cross_entropy(c, in[0], weight, batch.targets, 0.37, {.chunk_bytes = chunk_bytes})
                       .scaled};
         },
         true});
}

TEST_F(FunctionGradients, OfLinearCrossEntropyWithBiasSmoothingAndFewTargets) {
  Parameter& weight = parameters_.add("weight", {9, 4});
  Parameter& bias = parameters_.add("bias", {9});
  parameters_.allocate(context_);
  const Batch batch = random_batch(context_, 2, 7, 9, 3);
  const Tensor few = clone(context_, batch.targets), none = clone(context_, batch.targets);
  for (int64_t i = 0; i < 14; ++i) {
    if (i % 4 != 1) few.data<int32_t>()[i] = ops::kIgnoredTarget;
    none.data<int32_t>()[i] = ops::kIgnoredTarget;
  }
  for (const Tensor& targets : {batch.targets, few, none})
    for (const auto form : {ops::SmoothingForm::kUniform, ops::SmoothingForm::kOthers})
      for (const int64_t chunk_bytes : {kLogitsChunkBytes, int64_t{9 * 8 * 3}})
        expect_right({{strided({14, 4}, 1)},
                      parameters_.all(),
                      [&](Context& c, const auto& in) -> std::vector<Variable> {
                        return {linear_cross_entropy(c, in[0], weight, targets, 0.37,
                                                     {&bias, {form, 0.1}, chunk_bytes})
                                    .scaled};
                      },
                      true});
}

}  // namespace
}  // namespace trireme::testing
