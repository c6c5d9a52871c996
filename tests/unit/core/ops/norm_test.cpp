#include "core/ops/norm.h"

#include <gtest/gtest.h>

#include "core/ops/elementwise.h"
#include "tests/support/values.h"

// Expected values: PyTorch 2.13.0 in float64.
namespace trireme {
namespace {

using testing::expect_near;
using testing::message_of;
using testing::tensor_of;

class Norm : public ::testing::TestWithParam<DType> {
 protected:
  Context context;
  const DType dtype = GetParam();
  const double bound = dtype == DType::kFloat64 ? 1e-10 : 2e-6;
  Tensor x = tensor_of(context, {3, 4}, {1, 2, 3, 5, 0.1, 0.1, 0.1, 0.1, -4, 0, 8, 2}, dtype);
  Tensor weight = tensor_of(context, {4}, {1, 0.5, -2, 3}, dtype);
  Tensor bias = tensor_of(context, {4}, {0, 1, -1, 0.25}, dtype);
  Tensor d_y = tensor_of(context, {3, 4}, {1, -1, 0.5, 2, 1, 1, 0, -1, 0.25, -0.5, 1, 3}, dtype);
  Tensor y = context.workspace({3, 4}, dtype), d_x = context.workspace({3, 4}, dtype);
  Tensor mean = context.workspace({3}, dtype), rstd = context.workspace({3}, dtype);
  Tensor d_weight = context.workspace({4}, dtype), d_bias = context.workspace({4}, dtype);
};

TEST_P(Norm, LayerNormGivesPyTorchsValuesWithEpsInsideTheRoot) {
  ops::layer_norm_forward(context, x, weight, &bias, 0.1, y, mean, rstd);
  expect_near(y,
              {-1.157064308587751, 0.7520576481597676, -1.3305898024536431, 4.712962333124182, 0.0, 1.0, -1.0,
               0.25, -1.2667969591884167, 0.8272549601106705, -3.9942473580817124, 0.5954900797786593},
              bound);
  ops::layer_norm_backward(context, d_y, x, weight, mean, rstd, d_x, false, d_weight, &d_bias, false);
  expect_near(d_x,
              {1.2537121470099906, -0.5961455454082087, -1.7848236329191223, 1.127257031317341,
               4.348131782731521, 2.766992952647332, 1.1858541225631423, -8.300978857941995,
               -0.5050997762281281, -0.5041833569183704, -0.6750955581881843, 1.6843786913346825},
              4 * bound);
  expect_near(d_weight, {-1.4737635483848552, 0.6686297435697943, 1.579771129654267, 3.320798301861447},
              bound);
  expect_near(d_bias, {2.25, -0.5, 1.5, 4.0}, bound);
}

TEST_P(Norm, LayerNormWithoutBiasLeavesItOut) {
  ops::layer_norm_forward(context, x, weight, nullptr, 0.1, y, mean, rstd);
  EXPECT_NEAR(testing::values_of(y)[1], 0.7520576481597676 - 1.0, bound);
  EXPECT_NEAR(testing::values_of(y)[6], 0.0, bound);
}

TEST_P(Norm, RmsNormGivesPyTorchsValues) {
  ops::rms_norm_forward(context, x, weight, 0.1, y, rstd);
  expect_near(y,
              {0.3186264939385831, 0.3186264939385831, -1.9117589636314987, 4.779397409078746,
               0.30151134457776363, 0.15075567228888181, -0.6030226891555273, 0.9045340337332909,
               -0.8708006883682162, 0.0, -3.483202753472865, 1.3062010325523243},
              bound);
  ops::rms_norm_backward(context, d_y, x, weight, rstd, d_x, false, d_weight, false);
  expect_near(d_x,
              {0.10027838895529004, -0.5960094569358777, -0.9736708088884624, 0.8200184387150333,
               3.1179014041564193, 1.610344681267601, 0.10278795837878306, -8.942552378954124,
               0.06474258672405873, -0.054425043023013514, -0.4560354315861985, 1.954142776977964},
              4 * bound);
  expect_near(d_weight, {0.4024376664242927, -0.3357416432994026, 2.219541117644307, 4.190954627360392},
              bound);
}

TEST_P(Norm, BackwardAddsToWhatIsThereWhenAsked) {
  ops::layer_norm_forward(context, x, weight, &bias, 0.1, y, mean, rstd);
  for (Tensor* tensor : {&d_x, &d_weight, &d_bias}) ops::fill(context, *tensor, 100);
  ops::layer_norm_backward(context, d_y, x, weight, mean, rstd, d_x, true, d_weight, &d_bias, true);
  EXPECT_NEAR(testing::values_of(d_x)[0], 101.2537121470099906, 1e-4);
  EXPECT_NEAR(testing::values_of(d_weight)[0], 98.5262364516151448, 1e-4);
  EXPECT_NEAR(testing::values_of(d_bias)[0], 102.25, 1e-4);
}

TEST_P(Norm, BackwardMayWriteOverItsOwnGradient) {
  ops::layer_norm_forward(context, x, weight, &bias, 0.1, y, mean, rstd);
  ops::layer_norm_backward(context, d_y, x, weight, mean, rstd, d_x, false, d_weight, &d_bias, false);
  ops::layer_norm_backward(context, d_y, x, weight, mean, rstd, d_y, false, d_weight, &d_bias, false);
  expect_near(d_y, testing::values_of(d_x), 0);
}

INSTANTIATE_TEST_SUITE_P(Types, Norm, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(LayerNorm, KeepsItsPrecisionFarFromZero) {
  Context context;
  const Tensor x = tensor_of(context, {1, 4}, {10000, 10001, 10002, 10003}, DType::kFloat32);
  const Tensor weight = tensor_of(context, {4}, {1, 1, 1, 1}, DType::kFloat32);
  Tensor y = context.workspace({1, 4}, DType::kFloat32), mean = context.workspace({1}, DType::kFloat32);
  Tensor rstd = context.workspace({1}, DType::kFloat32);
  ops::layer_norm_forward(context, x, weight, nullptr, 0.0, y, mean, rstd);
  expect_near(y, {-1.3416407864998738, -0.4472135954999579, 0.4472135954999579, 1.3416407864998738}, 1e-6);
}

TEST(LayerNorm, NamesTheArgumentThatDoesNotFit) {
  Context context;
  const Tensor x = tensor_of(context, {2, 2}, {1, 2, 3, 4}, DType::kBFloat16);
  const Tensor weight = tensor_of(context, {2}, {1, 1}, DType::kBFloat16);
  const Tensor longer = tensor_of(context, {3}, {1, 1, 1}, DType::kBFloat16);
  Tensor y = context.workspace({2, 2}, DType::kBFloat16);
  Tensor mean = context.workspace({2}, DType::kFloat32), rstd = context.workspace({2}, DType::kFloat32);
  Tensor narrow = context.workspace({2}, DType::kBFloat16);
  EXPECT_EQ(message_of<ShapeError>(
                [&] { ops::layer_norm_forward(context, x, longer, nullptr, 1e-5, y, mean, rstd); }),
            "layer_norm_forward: weight has shape [3]; expected [2]");
  EXPECT_EQ(message_of<ShapeError>(
                [&] { ops::layer_norm_forward(context, x, weight, nullptr, 1e-5, y, narrow, rstd); }),
            "layer_norm_forward: mean is bfloat16; expected float32");
  EXPECT_EQ(message_of<ShapeError>([&] {
              ops::layer_norm_backward(context, y, x, weight, mean, rstd, y, false, narrow, nullptr, false);
            }),
            "layer_norm_backward: d_weight is bfloat16; expected float32");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::rms_norm_forward(context, x, longer, 1e-5, y, rstd); }),
            "rms_norm_forward: weight has shape [3]; expected [2]");
  EXPECT_EQ(message_of<ShapeError>(
                [&] { ops::rms_norm_backward(context, y, x, weight, rstd, mean, false, mean, false); }),
            "rms_norm_backward: d_x is float32 [2]; expected bfloat16 [2, 2] like x");
}

}  // namespace
}  // namespace trireme
