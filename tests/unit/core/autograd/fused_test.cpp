// Every fused Function against its unfused composition, forward and backward, in float64 and float32.

#include <gtest/gtest.h>

#include <limits>

#include "core/autograd/functions/add.h"
#include "core/autograd/functions/attention.h"
#include "core/autograd/functions/dropout.h"
#include "core/autograd/functions/embedding.h"
#include "core/autograd/functions/linear.h"
#include "core/autograd/functions/linear_cross_entropy.h"
#include "core/autograd/functions/residual_norm.h"
#include "core/autograd/functions/rotary.h"
#include "core/base/error.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "tests/support/test_batch.h"
#include "tests/support/test_parameters.h"

namespace trireme::testing {
namespace {

class Fused : public ::testing::TestWithParam<Precision> {
 protected:
  Fused() : parameters_(GetParam()) {
    PrecisionConfig precision;
    precision.dtype = GetParam();
    dtype_ = precision.compute();
    batch_ = random_batch(context_, 2, 5, 9, 1, 30);
  }
  Tensor normal(const Shape& shape, uint64_t seed) { return normal_tensor(context_, shape, dtype_, seed); }
  Variable leaf(const Shape& shape, uint64_t seed) { return Variable::leaf(context_, normal(shape, seed)); }
  void expect_close(const Tensor& a, const Tensor& b) {
    const double bound = GetParam() == Precision::kFp64 ? 1e-12 : 2e-5;
    ASSERT_EQ(a.shape(), b.shape());
    for (int64_t i = 0; i < a.num_elements(); ++i)
      ASSERT_NEAR(element(a, i), element(b, i), bound) << "element " << i;
  }
  ops::DropoutOptions dropout_options() {
    return {.probability = 0.3,
            .key = RandomKey::make(5, RandomPurpose::kDropout, 3, 9),
            .sample_ids = batch_.sample_ids,
            .positions = batch_.positions};
  }
  /// The gradients of the parameters, which then start anew.
  std::vector<Tensor> take_gradients() {
    std::vector<Tensor> gradients;
    for (Parameter* parameter : parameters_.all()) gradients.push_back(clone(context_, parameter->gradient));
    parameters_.store().begin_accumulation();
    return gradients;
  }
  void expect_equal_gradients(const std::vector<Tensor>& expected) {
    for (size_t i = 0; i < expected.size(); ++i) expect_close(parameters_.all()[i]->gradient, expected[i]);
  }

  Context context_;
  TestParameters parameters_;
  DType dtype_;
  Batch batch_;
};

TEST_P(Fused, ResidualNormEqualsDropoutAddThenNorm) {
  Parameter& weight = parameters_.add("weight", {8});
  Parameter& bias = parameters_.add("bias", {8});
  parameters_.allocate(context_);
  const NormParameters norm_parameters{NormKind::kLayerNorm, 1e-5, &weight, &bias};
  const std::vector<Variable> a = {leaf({10, 8}, 1), leaf({10, 8}, 2)};
  const std::vector<Variable> b = {leaf({10, 8}, 1), leaf({10, 8}, 2)};

  const Variable sum = dropout_add(context_, dropout_options(), a[0], a[1]);
  const Variable normalized = norm(context_, norm_parameters, sum);
  backward(context_, {{sum, normal({10, 8}, 3)}, {normalized, normal({10, 8}, 4)}});
  const std::vector<Tensor> expected = take_gradients();

  const auto fused = residual_norm(context_, norm_parameters, dropout_options(), b[0], b[1]);
  expect_close(fused.sum.value(), sum.value());
  expect_close(fused.normalized.value(), normalized.value());
  backward(context_, {{fused.sum, normal({10, 8}, 3)}, {fused.normalized, normal({10, 8}, 4)}});
  for (size_t i = 0; i < 2; ++i) expect_close(b[i].gradient(), a[i].gradient());
  expect_equal_gradients(expected);
}

TEST_P(Fused, ForkNormEqualsTheInputAndItsNorm) {
  Parameter& weight = parameters_.add("weight", {8});
  parameters_.allocate(context_);
  const NormParameters norm_parameters{NormKind::kRmsNorm, 1e-5, &weight, nullptr};
  const Variable a = leaf({10, 8}, 1), b = leaf({10, 8}, 1);
  const Variable normalized = norm(context_, norm_parameters, a);
  backward(context_, {{a, normal({10, 8}, 3)}, {normalized, normal({10, 8}, 4)}});
  const std::vector<Tensor> expected = take_gradients();

  const auto fused = fork_norm(context_, norm_parameters, b);
  expect_close(fused.sum.value(), a.value());
  expect_close(fused.normalized.value(), normalized.value());
  backward(context_, {{fused.sum, normal({10, 8}, 3)}, {fused.normalized, normal({10, 8}, 4)}});
  expect_close(b.gradient(), a.gradient());
  expect_equal_gradients(expected);
}

TEST_P(Fused, AddedEmbeddingEqualsEmbeddingThenAdd) {
  Parameter& table = parameters_.add("table", {9, 8});
  parameters_.allocate(context_);
  const Variable a = leaf({10, 8}, 1), b = leaf({10, 8}, 1);
  const Variable composed = add(context_, a, embedding(context_, table, batch_.tokens));
  backward(context_, {{composed, normal({10, 8}, 3)}});
  const std::vector<Tensor> expected = take_gradients();

  const Variable fused = add_embedding(context_, b, table, batch_.tokens);
  expect_close(fused.value(), composed.value());
  backward(context_, {{fused, normal({10, 8}, 3)}});
  expect_close(b.gradient(), a.gradient());
  expect_equal_gradients(expected);
}

TEST_P(Fused, PackedAttentionEqualsRotaryAndAttentionOfThreeTensors) {
  const auto rotary_options = [](int64_t heads) {
    return ops::RotaryOptions{.num_heads = heads, .head_dim = 4, .theta = 40.0};
  };
  AttentionArguments arguments;
  arguments.shape = {.num_samples = 2,
                     .query_length = 5,
                     .key_length = 5,
                     .num_heads = 4,
                     .num_query_groups = 2,
                     .head_dim = 4};
  pack_documents(context_, batch_, 2);
  arguments.options = {.mask = {.causal = true, .key_begin = batch_.key_begin, .key_end = {}},
                       .scale = 0.5,
                       .dropout = 0.25,
                       .dropout_key = RandomKey::make(5, RandomPurpose::kDropout, 3, 9),
                       .sample_ids = batch_.sample_ids};
  arguments.rotary = rotary_options(0);
  arguments.positions = batch_.positions;

  const Tensor packed = normal({10, 32}, 1);
  const auto piece = [&](int64_t begin, int64_t cols) {
    Tensor copy = context_.activation({10, cols}, dtype_);
    ops::cast(context_, packed.slice(-1, begin, cols), copy);
    return copy;
  };
  const Variable q_leaf = Variable::leaf(context_, piece(0, 16));
  const Variable k_leaf = Variable::leaf(context_, piece(16, 8));
  const Tensor v = piece(24, 8);
  const Variable q = rotary(context_, rotary_options(4), batch_.positions, q_leaf);
  const Variable k = rotary(context_, rotary_options(2), batch_.positions, k_leaf);
  Tensor out = context_.activation({10, 16}, dtype_), log_sum_exp = context_.activation({2, 4, 5}, dtype_);
  ops::attention_forward(context_, arguments.shape, arguments.options, q.value(), k.value(), v, out,
                         log_sum_exp);
  const Tensor d_out = normal({10, 16}, 2);
  Tensor d_q = context_.activation({10, 16}, dtype_), d_k = context_.activation({10, 8}, dtype_),
         d_v = context_.activation({10, 8}, dtype_);
  ops::attention_backward(context_, arguments.shape, arguments.options, q.value(), k.value(), v, out,
                          log_sum_exp, d_out, d_q, d_k, d_v);
  backward(context_, {{q, d_q}, {k, d_k}});

  const Variable leaf = Variable::leaf(context_, clone(context_, packed));
  const Variable fused = attention(context_, leaf, arguments);
  expect_close(fused.value(), out);
  backward(context_, {{fused, d_out}});
  const PackedSlices d_packed = packed_slices(arguments.shape, leaf.gradient());
  expect_close(d_packed.query, q_leaf.gradient());
  expect_close(d_packed.key, k_leaf.gradient());
  expect_close(d_packed.value, d_v);
}

TEST_P(Fused, LinearCrossEntropyInAnyChunksEqualsLinearThenCrossEntropy) {
  Parameter& weight = parameters_.add("weight", {9, 4});
  parameters_.allocate(context_);
  const double scale = 0.2;
  const Variable a = leaf({10, 4}, 1);
  const Variable logits = linear(context_, a, weight, nullptr);
  Tensor d_logits = clone(context_, logits.value());
  Tensor losses = context_.activation({10}, dtype_);
  ops::softmax_cross_entropy(context_, d_logits, batch_.targets.reshape({10}), losses, &scale);
  backward(context_, {{logits, d_logits}});
  const std::vector<Tensor> expected = take_gradients();

  for (const int64_t chunk_bytes : {kLogitsChunkBytes, int64_t{300}, int64_t{1}}) {
    const Variable b = leaf({10, 4}, 1);
    const TokenLoss loss =
        linear_cross_entropy(context_, b, weight, batch_.targets, scale, {.chunk_bytes = chunk_bytes});
    EXPECT_NEAR(loss.sum, ops::sum(context_, losses), 1e-5);
    EXPECT_EQ(loss.count, batch_.num_targets[LossTerm::kTokens]);
    EXPECT_NEAR(element(loss.scaled.value(), 0), loss.sum * scale, 1e-6);
    Tensor one = context_.workspace({1}, loss.scaled.value().dtype());
    ops::fill(context_, one, 1.0);
    backward(context_, {{loss.scaled, one}});
    expect_close(b.gradient(), a.gradient());
    expect_equal_gradients(expected);
    parameters_.store().begin_accumulation();
  }
}

TEST_P(Fused, LinearCrossEntropyOfFewTargetsMultipliesTheirRowsAlone) {
  Parameter& weight = parameters_.add("weight", {9, 4});
  Parameter& bias = parameters_.add("bias", {9});
  parameters_.allocate(context_);
  for (int64_t i = 0; i < 10; ++i)
    if (i % 3 != 1) batch_.targets.data<int32_t>()[i] = ops::kIgnoredTarget;
  const double scale = 0.2;
  const Variable a = leaf({10, 4}, 1);
  const Variable logits = linear(context_, a, weight, &bias);
  Tensor d_logits = clone(context_, logits.value()), losses = context_.activation({10}, dtype_);
  const int64_t right =
      ops::softmax_cross_entropy(context_, d_logits, batch_.targets.reshape({10}), losses, &scale,
                                 ops::target_distribution({ops::SmoothingForm::kUniform, 0.1}, 9));
  backward(context_, {{logits, d_logits}});
  const std::vector<Tensor> expected = take_gradients();

  // What rows without a target hold is not even read.
  Tensor poisoned = normal({10, 4}, 1);
  for (int64_t i = 0; i < 10; ++i)
    if (i % 3 != 1) {
      Tensor row = poisoned.slice(0, i, 1);
      ops::fill(context_, row, std::numeric_limits<double>::quiet_NaN());
    }
  const Variable b = Variable::leaf(context_, poisoned);
  const TokenLoss loss = linear_cross_entropy(context_, b, weight, batch_.targets, scale,
                                              {&bias, {ops::SmoothingForm::kUniform, 0.1}, 40});
  EXPECT_NEAR(loss.sum, ops::sum(context_, losses), 1e-5);
  EXPECT_EQ(loss.count, 2);  // rows 1 and 7
  EXPECT_EQ(loss.right, right);
  Tensor one = context_.workspace({1}, loss.scaled.value().dtype());
  ops::fill(context_, one, 1.0);
  backward(context_, {{loss.scaled, one}});
  expect_close(b.gradient(), a.gradient());
  expect_equal_gradients(expected);
}

TEST_P(Fused, LinearCrossEntropyWithoutAGraphGivesTheSameLossAndNoGradient) {
  Parameter& weight = parameters_.add("weight", {9, 4});
  parameters_.allocate(context_);
  const Variable hidden(normal({10, 4}, 1));
  const double with_graph = linear_cross_entropy(context_, hidden, weight, batch_.targets, 1.0).sum;
  parameters_.store().begin_accumulation();
  const GradModeGuard no_grad(context_, false);
  EXPECT_EQ(linear_cross_entropy(context_, hidden, weight, batch_.targets, 1.0).sum, with_graph);
  EXPECT_FALSE(weight.has_gradient());
}

TEST_P(Fused, LinearCrossEntropyRefusesARootGradientOtherThanOne) {
  Parameter& weight = parameters_.add("weight", {9, 4});
  parameters_.allocate(context_);
  const TokenLoss loss = linear_cross_entropy(context_, leaf({10, 4}, 1), weight, batch_.targets, 1.0);
  Tensor two = context_.workspace({1}, loss.scaled.value().dtype());
  ops::fill(context_, two, 2.0);
  EXPECT_THROW(backward(context_, {{loss.scaled, two}}), ShapeError);
}

INSTANTIATE_TEST_SUITE_P(Precisions, Fused, ::testing::Values(Precision::kFp64, Precision::kFp32),
                         [](const auto& info) { return info.param == Precision::kFp64 ? "Fp64" : "Fp32"; });

}  // namespace
}  // namespace trireme::testing
