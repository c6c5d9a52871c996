#include "core/ops/optimizer.h"

#include <gtest/gtest.h>

#include <array>

#include "core/ops/elementwise.h"
#include "tests/support/op_case.h"
#include "tests/support/values.h"

// Expected values: three steps of PyTorch 2.13.0's optimizers in float64.
namespace trireme {
namespace {

using testing::expect_near;
using testing::message_of;
using testing::tensor_of;

const std::array<std::vector<double>, 3> kGradients = {
    {{0.1, -0.2, 0.3}, {0.5, 0.0, -1.0}, {-2.0, 1e-9, 0.25}}};

class OptimizerSteps : public ::testing::TestWithParam<DType> {
 protected:
  Context context;
  const DType dtype = GetParam();
  const double bound = dtype == DType::kFloat64 ? 1e-14 : 1e-6;
  Tensor weights = tensor_of(context, {3}, {1, -2, 0.5}, dtype);
  Tensor buffer = context.zeros({3}, dtype, MemoryCategory::kOptimizer);
  Tensor second = context.zeros({3}, dtype, MemoryCategory::kOptimizer);
};

TEST_P(OptimizerSteps, AdamWFollowsPyTorch) {
  ops::AdamOptions options;
  options.lr = 0.1;
  options.beta2 = 0.95;
  options.weight_decay = 0.1;
  for (options.step = 1; options.step <= 3; ++options.step)
    ops::adam(context, options, weights,
              tensor_of(context, {3}, kGradients[static_cast<size_t>(options.step - 1)], dtype), buffer,
              second, nullptr);
  expect_near(weights, {0.8324443731441785, -1.7222639190569466, 0.46237435363065604}, bound);
  expect_near(buffer, {-0.1469, -0.0161999999, -0.0407}, bound);
  expect_near(second, {0.21232625, 0.001805, 0.05468625}, bound);
}

TEST_P(OptimizerSteps, SgdFollowsPyTorch) {
  for (const bool nesterov : {false, true}) {
    weights = tensor_of(context, {3}, {1, -2, 0.5}, dtype);
    ops::fill(context, buffer, 77);  // the first step does not read it
    ops::SgdOptions options;
    options.lr = 0.1;
    options.momentum = 0.9;
    options.nesterov = nesterov;
    options.weight_decay = 0.01;
    for (options.step = 1; options.step <= 3; ++options.step)
      ops::sgd(context, options, weights,
               tensor_of(context, {3}, kGradients[static_cast<size_t>(options.step - 1)], dtype), &buffer,
               nullptr);
    if (nesterov) {
      expect_near(weights, {1.202358312551, -1.915355625292, 0.6162601848004999}, bound);
      expect_near(buffer, {-1.4433548029, -0.2151903932, -0.39290649895}, bound);
    } else {
      expect_near(weights, {1.072382789, -1.9346655781, 0.5809113695}, bound);
      expect_near(buffer, {-1.44271789, -0.215564219, -0.393308695}, bound);
    }
  }
}

TEST_P(OptimizerSteps, SgdWithoutMomentumNeedsNoBuffer) {
  ops::SgdOptions options;
  options.lr = 0.1;
  for (const auto& gradient : kGradients)
    ops::sgd(context, options, weights, tensor_of(context, {3}, gradient, dtype), nullptr, nullptr);
  expect_near(weights, {1.14, -1.9800000001, 0.545}, bound);
}

TEST_P(OptimizerSteps, GradientScaleMultipliesTheGradientFirst) {
  ops::AdamOptions options;
  options.lr = 0.1;
  options.eps = 0.5;  // so that the scale of the gradient shows
  Tensor scaled = tensor_of(context, {3}, {1, -2, 0.5}, dtype);
  Tensor scaled_first = context.zeros({3}, dtype, MemoryCategory::kOptimizer);
  Tensor scaled_second = context.zeros({3}, dtype, MemoryCategory::kOptimizer);
  ops::adam(context, options, weights, tensor_of(context, {3}, {0.25, -0.5, 1}, dtype), buffer, second,
            nullptr);
  options.gradient_scale = 0.25;
  ops::adam(context, options, scaled, tensor_of(context, {3}, {1, -2, 4}, dtype), scaled_first, scaled_second,
            nullptr);
  expect_near(scaled, testing::values_of(weights), bound);
  expect_near(scaled_first, testing::values_of(buffer), bound);
  expect_near(scaled_second, testing::values_of(second), bound);
}

INSTANTIATE_TEST_SUITE_P(Types, OptimizerSteps, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(Optimizers, WriteTheRoundedWeightsInTheSamePass) {
  Context context;
  for (const DType low : {DType::kBFloat16, DType::kFloat16}) {
    Tensor weights = testing::random_tensor(context, {1003}, DType::kFloat32, DType::kFloat32, 1);
    const Tensor gradient = testing::random_tensor(context, {1003}, DType::kFloat32, DType::kFloat32, 2);
    Tensor first = context.zeros({1003}, DType::kFloat32, MemoryCategory::kOptimizer);
    Tensor second = context.zeros({1003}, DType::kFloat32, MemoryCategory::kOptimizer);
    Tensor copy = context.zeros({1003}, low, MemoryCategory::kWeights);
    Tensor expected = context.zeros({1003}, low, MemoryCategory::kWeights);
    ops::AdamOptions adamw;
    adamw.lr = 0.01;
    ops::adam(context, adamw, weights, gradient, first, second, &copy);
    ops::cast(context, weights, expected);
    EXPECT_EQ(testing::values_of(copy), testing::values_of(expected));
    ops::SgdOptions sgd;
    sgd.lr = 0.01;
    ops::sgd(context, sgd, weights, gradient, nullptr, &copy);
    ops::cast(context, weights, expected);
    EXPECT_EQ(testing::values_of(copy), testing::values_of(expected));
  }
}

TEST(Optimizers, RefuseWhatDoesNotBelongTogether) {
  Context context;
  Tensor weights = tensor_of(context, {2}, {1, 2}, DType::kFloat32);
  Tensor state = tensor_of(context, {2}, {0, 0}, DType::kFloat32);
  Tensor longer = tensor_of(context, {3}, {0, 0, 0}, DType::kFloat32);
  Tensor narrow = tensor_of(context, {2}, {0, 0}, DType::kBFloat16);
  Tensor strided = tensor_of(context, {2, 2}, {0, 0, 0, 0}, DType::kFloat32).slice(1, 0, 1);
  ops::AdamOptions adamw;
  EXPECT_EQ(
      message_of<ShapeError>([&] { ops::adam(context, adamw, weights, longer, state, state, nullptr); }),
      "adam: gradient is float32 [3]; expected float32 [2] like weights");
  EXPECT_EQ(
      message_of<ShapeError>([&] { ops::adam(context, adamw, narrow, narrow, narrow, narrow, nullptr); }),
      "adam: weights is bfloat16; expected float32");
  EXPECT_EQ(
      message_of<ShapeError>([&] { ops::adam(context, adamw, strided, strided, strided, strided, nullptr); }),
      "adam: weights has shape [2, 1] and row stride 2; expected a contiguous tensor");
  adamw.step = 0;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::adam(context, adamw, weights, state, state, state, nullptr); }),
            "adam: step is 0; expected at least 1");
  ops::SgdOptions sgd;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::sgd(context, sgd, weights, state, &state, nullptr); }),
            "sgd: momentum_buffer is given; expected a buffer exactly when momentum is not 0 (it is 0)");
  sgd.momentum = 0.9;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::sgd(context, sgd, weights, state, nullptr, nullptr); }),
            "sgd: momentum_buffer is missing; expected a buffer exactly when momentum is not 0 (it is 0.9)");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::sgd(context, sgd, weights, state, &state, &longer); }),
            "sgd: low_precision has shape [3]; expected [2]");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::adagrad(context, {}, weights, state, longer, nullptr); }),
            "adagrad: sum is float32 [3]; expected float32 [2] like weights");
  EXPECT_EQ(message_of<ShapeError>(
                [&] { ops::rmsprop(context, {}, weights, state, state, &longer, nullptr, nullptr); }),
            "rmsprop: gradient_average is float32 [3]; expected float32 [2] like weights");
  EXPECT_EQ(message_of<ShapeError>(
                [&] { ops::rmsprop(context, {}, weights, state, state, nullptr, &state, nullptr); }),
            "rmsprop: momentum_buffer is given; expected a buffer exactly when momentum is not 0 (it is 0)");
}

TEST(Optimizers, OfRmsPropTakeAVarianceThatRoundsBelowZeroAsZero) {
  Context context;
  for (const bool reference : {false, true}) {
    context.reference_kernels = reference;
    Tensor weights = tensor_of(context, {1}, {1}, DType::kFloat32);
    Tensor squares = tensor_of(context, {1}, {1}, DType::kFloat32);
    Tensor means = tensor_of(context, {1}, {1.0001}, DType::kFloat32);
    ops::rmsprop(context, {.lr = 0.1, .alpha = 0.9, .eps = 1}, weights,
                 tensor_of(context, {1}, {1}, DType::kFloat32), squares, &means, nullptr, nullptr);
    expect_near(weights, {0.9}, 1e-6);
  }
}

}  // namespace
}  // namespace trireme
