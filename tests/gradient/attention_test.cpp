// Attention's backward against finite differences in float64: masks, grouped heads, rope, dropout.

#include <gtest/gtest.h>

#include "core/autograd/functions/attention.h"
#include "tests/support/test_batch.h"

namespace trireme::testing {
namespace {

class AttentionGradients : public ::testing::Test {
 protected:
  AttentionGradients() : batch_(random_batch(context_, 2, 5, 3, 1, 40)) {
    arguments_.shape = {.num_samples = 2,
                        .query_length = 5,
                        .key_length = 5,
                        .num_heads = 4,
                        .num_query_groups = 2,
                        .head_dim = 4};
    arguments_.options.scale = 0.5;
    arguments_.options.mask.causal = true;
    arguments_.options.sample_ids = batch_.sample_ids;
    arguments_.positions = batch_.positions;
  }
  void expect_right() {
    const GradientCase gradient_case = {{strided_normal_tensor(context_, {10, 32}, DType::kFloat64, 3)},
                                        {},
                                        [&](Context& c, const auto& in) -> std::vector<Variable> {
                                          return {attention(c, in[0], arguments_)};
                                        }};
    const GradientCheck check = check_gradients(context_, gradient_case);
    EXPECT_LE(check.error, 1e-8) << "worst: " << check.worst;
  }
  Context context_;
  Batch batch_;
  AttentionArguments arguments_;
};

TEST_F(AttentionGradients, AreRightWithACausalMaskAndGroupedHeads) {
  expect_right();
}

TEST_F(AttentionGradients, AreRightWithoutAMask) {
  arguments_.options.mask.causal = false;
  expect_right();
}

TEST_F(AttentionGradients, AreRightWithPackedDocumentsAndRope) {
  pack_documents(context_, batch_, 2);
  arguments_.options.mask.key_begin = batch_.key_begin;
  arguments_.positions = batch_.positions;
  arguments_.rotary = ops::RotaryOptions{.theta = 50.0};
  expect_right();
}

TEST_F(AttentionGradients, AreRightWithPaddedKeysAndQueriesThatSeeNothing) {
  arguments_.options.mask.causal = false;
  arguments_.options.mask.key_end = context_.workspace({2, 5}, DType::kInt32);
  for (int i = 0; i < 10; ++i) arguments_.options.mask.key_end.data<int32_t>()[i] = i < 5 ? 3 : i % 5;
  expect_right();
}

TEST_F(AttentionGradients, AreRightWithDropoutOnTheProbabilities) {
  arguments_.options.dropout = 0.3;
  arguments_.options.dropout_key = RandomKey::make(1, RandomPurpose::kDropout, 2, 3);
  expect_right();
}

TEST_F(AttentionGradients, AreRightWithInterleavedRopeAndOneHeadAGroup) {
  arguments_.shape.num_heads = 2;
  arguments_.shape.num_query_groups = 2;
  arguments_.shape.head_dim = 4;
  arguments_.rotary = ops::RotaryOptions{.interleaved = true};
  const GradientCase gradient_case = {
      {normal_tensor(context_, {10, 24}, DType::kFloat64, 3)},
      {},
      [&](Context& c, const auto& in) -> std::vector<Variable> { return {attention(c, in[0], arguments_)}; }};
  EXPECT_LE(check_gradients(context_, gradient_case).error, 1e-8);
}

}  // namespace
}  // namespace trireme::testing
