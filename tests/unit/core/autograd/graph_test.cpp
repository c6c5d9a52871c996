#include <gtest/gtest.h>

#include "core/autograd/functions/activation.h"
#include "core/autograd/functions/add.h"
#include "core/autograd/functions/linear.h"
#include "core/autograd/functions/recompute.h"
#include "core/base/error.h"
#include "tests/support/test_parameters.h"

namespace trireme::testing {
namespace {

Tensor ones(Context& context, const Shape& shape) {
  Tensor tensor = context.workspace(shape, DType::kFloat64);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) tensor.data<double>()[i] = 1.0;
  return tensor;
}

int64_t activation_bytes(const Context& context) {
  return context.allocator.ledger().current[static_cast<size_t>(MemoryCategory::kActivations)];
}

TEST(Graph, IsNotRecordedWithoutGradMode) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {2, 2}));
  const GradModeGuard no_grad(context, false);
  EXPECT_FALSE(add(context, x, x).requires_grad());
}

TEST(Graph, IsNotRecordedOverConstants) {
  Context context;
  const Variable x(ones(context, {2, 2}));
  EXPECT_FALSE(add(context, x, x).requires_grad());
}

TEST(Graph, SumsTheGradientsOfEveryUse) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {2, 2}));
  const Variable twice = add(context, x, x);
  const Variable y = add(context, twice, add(context, twice, x));
  backward(context, {{y, ones(context, {2, 2})}});
  EXPECT_EQ(element(x.gradient(), 0), 5.0);
}

TEST(Graph, RunsBackwardFromSeveralRootsAtOnce) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {2, 2}));
  const Variable a = add(context, x, x);
  const Variable b = add(context, a, x);
  backward(context, {{a, ones(context, {2, 2})}, {b, ones(context, {2, 2})}});
  EXPECT_EQ(element(x.gradient(), 3), 5.0);
}

TEST(Graph, LeavesTheRootGradientOfItsCallerAlone) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {2, 2}));
  const Tensor root = ones(context, {2, 2});
  const Variable a = activation(context, ops::Activation::kGeluErf, x);
  backward(context, {{a, root}});
  for (int i = 0; i < 4; ++i) EXPECT_EQ(element(root, i), 1.0);
}

TEST(Graph, RefusesARootGradientOfAnotherShape) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {2, 2}));
  const Variable y = add(context, x, x);
  EXPECT_THROW(backward(context, {{y, ones(context, {2, 3})}}), ShapeError);
}

TEST(Graph, OfAHundredThousandNodesIsDestroyedWithoutRecursion) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {1, 1}));
  Variable y = x;
  for (int i = 0; i < 100000; ++i) y = add(context, y, x);
  y = Variable();
  EXPECT_EQ(activation_bytes(context), 0);
}

TEST(Graph, OfAHundredThousandNodesRunsBackward) {
  Context context;
  const Variable x = Variable::leaf(context, ones(context, {1, 1}));
  Variable y = x;
  for (int i = 0; i < 100000; ++i) y = add(context, y, x);
  backward(context, {{y, ones(context, {1, 1})}});
  EXPECT_EQ(element(x.gradient(), 0), 100001.0);
}

TEST(Graph, CallsProgressBetweenNodes) {
  Context context;
  int calls = 0;
  context.progress = [&] { ++calls; };
  const Variable x = Variable::leaf(context, ones(context, {1, 1}));
  const Variable y = add(context, add(context, x, x), x);
  backward(context, {{y, ones(context, {1, 1})}});
  EXPECT_GE(calls, 3);
}

class WeightGradients : public ::testing::Test {
 protected:
  WeightGradients()
      : first_(parameters_.add("first", {6, 4})),
        second_(parameters_.add("second", {3, 6})),
        square_(parameters_.add("square", {4, 4})) {
    parameters_.allocate(context_);
    for (Parameter* parameter : parameters_.all())
      parameter->on_ready = [this](Parameter& ready) { ready_.push_back(ready.name); };
  }
  Variable forward() {
    const Variable x(normal_tensor(context_, {5, 4}, DType::kFloat64, 1));
    return linear(context_, linear(context_, x, first_, nullptr), second_, nullptr);
  }
  void run_backward(const Variable& y) {
    backward(context_, {{y, normal_tensor(context_, {5, 3}, DType::kFloat64, 2)}});
  }
  Context context_;
  TestParameters parameters_;
  Parameter& first_;
  Parameter& second_;
  Parameter& square_;
  std::vector<std::string> ready_;
};

TEST_F(WeightGradients, AreReadyInTheReverseOfTheForwardPass) {
  run_backward(forward());
  EXPECT_EQ(ready_, (std::vector<std::string>{"second", "first"}));
}

TEST_F(WeightGradients, WriteFirstAndAddLater) {
  fill_normal(first_.gradient, 5);  // what an earlier step left
  parameters_.store().begin_accumulation();
  run_backward(forward());
  const Tensor once = clone(context_, first_.gradient);
  run_backward(forward());
  for (int64_t i = 0; i < once.num_elements(); ++i)
    EXPECT_DOUBLE_EQ(element(first_.gradient, i), 2 * element(once, i));
}

TEST_F(WeightGradients, LeftForLaterEqualThoseMadeAtOnce) {
  run_backward(forward());
  const Tensor at_once = clone(context_, first_.gradient);
  ready_.clear();
  parameters_.store().begin_accumulation();
  context_.weight_gradients.delayed = true;
  run_backward(forward());
  EXPECT_TRUE(ready_.empty());
  context_.weight_gradients.drain(context_);
  EXPECT_EQ(ready_.size(), 2u);
  for (int64_t i = 0; i < at_once.num_elements(); ++i)
    EXPECT_EQ(element(first_.gradient, i), element(at_once, i));
}

TEST_F(WeightGradients, AreReadyAfterTheLastOfSeveralPasses) {
  const Variable a = forward(), b = forward();  // two micro-batches in flight
  run_backward(a);
  EXPECT_TRUE(ready_.empty());
  run_backward(b);
  EXPECT_EQ(ready_.size(), 2u);
}

TEST_F(WeightGradients, AreReadyOnceWhereTwoRecomputedPartsShareThem) {
  const auto part = [&](Context& context, const std::vector<Variable>& inputs) -> std::vector<Variable> {
    return {linear(context, activation(context, ops::Activation::kGeluErf, inputs[0]), square_, nullptr)};
  };
  const std::vector<Variable> x = {Variable(normal_tensor(context_, {5, 4}, DType::kFloat64, 1))};
  const auto y = recompute(context_, {&square_}, part, recompute(context_, {&square_}, part, x));
  backward(context_, {{y[0], normal_tensor(context_, {5, 4}, DType::kFloat64, 2)}});
  EXPECT_EQ(ready_, (std::vector<std::string>{"square"}));
}

TEST_F(WeightGradients, ForgetAPassThatWasGivenUp) {
  forward();
  parameters_.store().begin_accumulation();
  run_backward(forward());
  EXPECT_EQ(ready_.size(), 2u);
}

TEST_F(WeightGradients, OfUnusedParametersBecomeZero) {
  fill_normal(second_.gradient, 5);
  parameters_.store().begin_accumulation();
  const Variable x(normal_tensor(context_, {5, 4}, DType::kFloat64, 1));
  backward(context_,
           {{linear(context_, x, first_, nullptr), normal_tensor(context_, {5, 6}, DType::kFloat64, 2)}});
  parameters_.store().finish_accumulation(context_);
  for (int64_t i = 0; i < second_.gradient.num_elements(); ++i) EXPECT_EQ(element(second_.gradient, i), 0.0);
  EXPECT_NE(element(first_.gradient, 0), 0.0);
}

TEST_F(WeightGradients, FreeEveryActivationWhenTheyAreDone) {
  Variable y = forward();
  EXPECT_GT(activation_bytes(context_), 0);
  run_backward(y);
  y = Variable();
  EXPECT_EQ(activation_bytes(context_), 0);
}

}  // namespace
}  // namespace trireme::testing
