// Recurrent layers, BatchNorm, complex-valued embeddings and scaling against finite differences in float64.

#include <gtest/gtest.h>

#include "core/autograd/functions/batch_norm.h"
#include "core/autograd/functions/complex_embedding.h"
#include "core/autograd/functions/recurrent.h"
#include "core/autograd/functions/rows.h"
#include "core/autograd/functions/scale.h"
#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "tests/support/test_parameters.h"
#include "tests/support/values.h"

namespace trireme::testing {
namespace {

class MoreFunctionGradients : public ::testing::Test {
 protected:
  void expect_right(const GradientCase& gradient_case) {
    const GradientCheck check = check_gradients(context_, gradient_case);
    EXPECT_LE(check.error, 1e-8) << "worst: " << check.worst;
  }
  Tensor draw(const Shape& shape, uint64_t seed) {
    return strided_normal_tensor(context_, shape, DType::kFloat64, seed);
  }
  Context context_;
  TestParameters parameters_;
};

TEST_F(MoreFunctionGradients, OfRecurrentLayersOverSamplesOfUnequalLength) {
  constexpr int64_t kBatch = 3, kLength = 4, kHidden = 3;
  using ops::RecurrentKind;
  for (const auto kind :
       {RecurrentKind::kRnnTanh, RecurrentKind::kRnnRelu, RecurrentKind::kGru, RecurrentKind::kLstm}) {
    const int64_t gates = ops::num_gates(kind) * kHidden;
    TestParameters parameters;
    Parameter& weight = parameters.add("weight", {gates, kHidden});
    Parameter& bias = parameters.add("bias", {gates});
    parameters.allocate(context_, 0.0, 0.4);  // with steep gates the stencil's own error reaches 1e-8
    for (const bool reverse : {false, true})
      for (const bool padded : {false, true}) {
        ops::RecurrentOptions options{kind, kBatch, kLength, kHidden, reverse};
        if (padded) options.lengths = tensor_of(context_, {kBatch}, {4, 0, 2}, DType::kInt32);
        std::vector<Tensor> inputs = {draw({kBatch * kLength, gates}, 1), draw({kBatch, kHidden}, 2)};
        if (kind == RecurrentKind::kLstm) inputs.push_back(draw({kBatch, kHidden}, 3));
        expect_right({inputs, parameters.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
                        RecurrentVariables first{in[1]};
                        if (in.size() > 2) first.cell = in[2];
                        const RecurrentResult result = recurrent(c, options, in[0], weight, &bias, first);
                        std::vector<Variable> outputs = {result.out, result.last.hidden};
                        if (in.size() > 2) outputs.push_back(result.last.cell);
                        return outputs;
                      }});
      }
  }
}

TEST_F(MoreFunctionGradients, OfBatchNormOverTheRowsThatCount) {
  Parameter& weight = parameters_.add("weight", {5});
  Parameter& bias = parameters_.add("bias", {5});
  parameters_.allocate(context_, 1.0, 0.3);
  BatchNormParameters norm{.weight = &weight, .bias = &bias};
  norm.running_mean = draw({5}, 3);
  norm.running_variance = context_.workspace({5}, DType::kFloat64);
  ops::fill(context_, norm.running_variance, 2.0);
  const Tensor counted = tensor_of(context_, {6}, {1, 0, 1, 1, 0, 1}, DType::kInt32);
  for (const bool training : {true, false})
    for (const Tensor& rows : {Tensor(), counted})
      expect_right(
          {{draw({6, 5}, 1)}, parameters_.all(), [&](Context& c, const auto& in) -> std::vector<Variable> {
             c.training = training;
             BatchNormParameters mine = norm;  // a pass moves the running statistics
             mine.running_mean = clone(c, norm.running_mean);
             mine.running_variance = clone(c, norm.running_variance);
             return {batch_norm(c, mine, in[0], rows)};
           }});
}

TEST_F(MoreFunctionGradients, OfComplexEmbeddingWithRepeatedIds) {
  const ComplexTables tables{parameters_.add("amplitude", {4, 3}), parameters_.add("frequency", {4, 3}),
                             parameters_.add("phase", {4, 3})};
  parameters_.allocate(context_);
  const Tensor ids = tensor_of(context_, {2, 3}, {3, 0, 3, 1, 3, 0}, DType::kInt32);
  const Tensor positions = tensor_of(context_, {2, 3}, {0, 1, 2, 0, 1, 5}, DType::kInt32);
  expect_right({{}, parameters_.all(), [&](Context& c, const auto&) -> std::vector<Variable> {
                  return {complex_embedding(c, tables, ids, positions)};
                }});
}

TEST_F(MoreFunctionGradients, OfGatheredRowsAndStackedSteps) {
  const Tensor rows = tensor_of(context_, {5}, {3, 0, 3, 1, 3}, DType::kInt32);
  expect_right({{draw({4, 3}, 1)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
                  return {gather_rows(c, in[0], rows)};
                }});
  expect_right(
      {{draw({2, 3}, 1), draw({2, 3}, 2)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
         return {stack_steps(c, {in[0], in[1], in[0]})};
       }});
}

TEST_F(MoreFunctionGradients, StackedStepsLieSampleBySample) {
  const Variable a(tensor_of(context_, {2, 2}, {1, 2, 3, 4})), b(tensor_of(context_, {2, 2}, {5, 6, 7, 8}));
  expect_near(stack_steps(context_, {a, b}).value(), {1, 2, 5, 6, 3, 4, 7, 8}, 0.0);
  const Tensor wrong = tensor_of(context_, {1}, {2}, DType::kInt32);
  EXPECT_EQ(message_of<ShapeError>([&] { gather_rows(context_, a, wrong); }),
            "gather_rows: row 0 is 2; expected one of the 2 rows of x");
}

TEST_F(MoreFunctionGradients, OfSplitStepsAndJoinedColumns) {
  expect_right(
      {{draw({6, 3}, 1), draw({2, 2}, 2)}, {}, [](Context& c, const auto& in) -> std::vector<Variable> {
         const std::vector<Variable> steps = split_steps(c, in[0], 3);
         return {steps[2], join_columns(c, steps[1], in[1])};  // the first step is not used
       }});
}

TEST_F(MoreFunctionGradients, SplitStepsAreThoseThatWereStacked) {
  const Tensor x = draw({6, 3}, 1);
  const Tensor again = stack_steps(context_, split_steps(context_, Variable(x), 2)).value();
  for (int64_t i = 0; i < 18; ++i) EXPECT_EQ(element(again, i), element(x, i));
}

TEST_F(MoreFunctionGradients, OfScale) {
  expect_right({{draw({3, 4}, 1)}, {}, [&](Context& c, const auto& in) -> std::vector<Variable> {
                  return {scale(c, in[0], -2.5)};
                }});
}

}  // namespace
}  // namespace trireme::testing
