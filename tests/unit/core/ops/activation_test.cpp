#include "core/ops/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/ops/elementwise.h"
#include "tests/support/values.h"

// Expected values: PyTorch 2.13.0 in float64.
namespace trireme {
namespace {

using ops::Activation;
using testing::expect_near;
using testing::message_of;
using testing::tensor_of;

const std::vector<double> kX = {-6, -3, -1.5, -0.5, 0, 0.5, 1.5, 3, 6};

struct Known {
  Activation activation;
  std::vector<double> y, slope;
  bool bounded = false;  ///< flat on the right too
  double lowest = 0;     ///< what it goes to on the left
};

const Known kKnown[] = {
    {Activation::kGeluErf,
     {-5.919525869479969e-09, -0.00404969409489031, -0.10021080190328704, -0.15426876936299344, 0.0,
      0.34573123063700656, 1.399789198096713, 2.99595030590511, 5.999999994080474},
     {-3.546870945402639e-08, -0.01194564720418392, -0.1274691922299796, 0.13250487534383712, 0.5,
      0.8674951246561629, 1.1274691922299795, 1.011945647204184, 1.0000000354687093}},
    {Activation::kGeluTanh,
     {-8.43964897967453e-11, -0.0036373920817729943, -0.10042842301976707, -0.15428599017485606, 0.0,
      0.34571400982514394, 1.3995715769802328, 2.996362607918227, 5.9999999999156035},
     {-7.709976012836329e-10, -0.011584166630969648, -0.12771079315143308, 0.13263009646535764, 0.5,
      0.8673699035346424, 1.127710793151433, 1.0115841666309695, 1.0000000007709977}},
    {Activation::kRelu, {0, 0, 0, 0, 0, 0.5, 1.5, 3, 6}, {0, 0, 0, 0, 0, 1, 1, 1, 1}},
    {Activation::kSigmoid,
     {0.0024726231566347743, 0.04742587317756678, 0.18242552380635635, 0.3775406687981454, 0.5,
      0.6224593312018546, 0.8175744761936437, 0.9525741268224334, 0.9975273768433653},
     {0.002466509291360048, 0.04517665973091214, 0.14914645207033286, 0.2350037122015945, 0.25,
      0.2350037122015945, 0.14914645207033286, 0.045176659730912, 0.002466509291359931},
     true},
    {Activation::kTanh,
     {-0.9999877116507956, -0.9950547536867305, -0.9051482536448664, -0.46211715726000974, 0.0,
      0.46211715726000974, 0.9051482536448664, 0.9950547536867305, 0.9999877116507956},
     {2.4576547405302974e-05, 0.009866037165440166, 0.1807066389236486, 0.7864477329659274, 1.0,
      0.7864477329659274, 0.1807066389236486, 0.009866037165440166, 2.4576547405302974e-05},
     true,
     -1},
};

TEST(Activations, GivePyTorchsValuesAndSlopes) {
  Context context;
  for (const Known& known : kKnown)
    for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
      const double bound = dtype == DType::kFloat64 ? 1e-14 : 6e-7;
      const Tensor x = tensor_of(context, {9}, kX, dtype);
      Tensor y = context.workspace({9}, dtype), d = context.workspace({9}, dtype);
      ops::activation_forward(context, known.activation, x, y);
      expect_near(y, known.y, bound);
      ops::fill(context, d, 2);
      ops::activation_backward(context, known.activation, d, x, d);
      ops::scale(context, d, 0.5);
      expect_near(d, known.slope, bound);
    }
}

/// Over a fine grid: the polynomials have no bad spot.
TEST(Activations, StayCloseToTheReferenceOnAFineGrid) {
  Context context, reference;
  reference.reference_kernels = true;
  constexpr int64_t kPoints = 200000;
  Tensor x = context.workspace({kPoints}, DType::kFloat32);
  for (int64_t i = 0; i < kPoints; ++i)
    x.data<float>()[i] = static_cast<float>(-20.0 + 40.0 * static_cast<double>(i) / kPoints);
  Tensor fast = context.workspace({kPoints}, DType::kFloat32),
         exact = context.workspace({kPoints}, DType::kFloat32);
  Tensor ones = context.workspace({kPoints}, DType::kFloat32);
  ops::fill(context, ones, 1);
  for (const Known& known : kKnown) {
    ops::activation_forward(context, known.activation, x, fast);
    ops::activation_forward(reference, known.activation, x, exact);
    double worst = 0, worst_slope = 0;
    for (int64_t i = 0; i < kPoints; ++i)
      worst = std::max(worst, std::abs(double{fast.data<float>()[i]} - exact.data<float>()[i]) /
                                  std::max(1.0, std::abs(double{exact.data<float>()[i]})));
    ops::activation_backward(context, known.activation, ones, x, fast);
    ops::activation_backward(reference, known.activation, ones, x, exact);
    for (int64_t i = 0; i < kPoints; ++i)
      worst_slope = std::max(worst_slope, std::abs(double{fast.data<float>()[i]} - exact.data<float>()[i]));
    EXPECT_LE(worst, 3e-7);
    EXPECT_LE(worst_slope, 6e-7);
  }
}

TEST(Activations, LetNanThroughAndStayFiniteFarOut) {
  Context context;
  for (const Known& known : kKnown) {
    const Tensor x = tensor_of(context, {5}, {std::nan(""), 1000, -1000, 1e30, -1e9}, DType::kFloat32);
    Tensor y = context.workspace({5}, DType::kFloat32), d = context.workspace({5}, DType::kFloat32);
    ops::activation_forward(context, known.activation, x, y);
    EXPECT_TRUE(std::isnan(y.data<float>()[0]));
    EXPECT_EQ(y.data<float>()[1], known.bounded ? 1.0f : 1000.0f);
    EXPECT_EQ(y.data<float>()[2], known.lowest);
    EXPECT_EQ(y.data<float>()[3], known.bounded ? 1.0f : 1e30f);
    EXPECT_EQ(y.data<float>()[4], known.lowest);
    ops::fill(context, d, 1);
    ops::activation_backward(context, known.activation, d, x, d);
    const double right_slope = known.bounded ? 0.0 : 1.0;
    EXPECT_NEAR(d.data<float>()[1], right_slope, 1e-30);
    EXPECT_NEAR(d.data<float>()[2], 0, 1e-30);
    EXPECT_NEAR(d.data<float>()[3], right_slope, 1e-30);
    EXPECT_NEAR(d.data<float>()[4], 0, 1e-30);
    EXPECT_TRUE(known.activation == Activation::kRelu || std::isnan(d.data<float>()[0]));
  }
}

TEST(Swiglu, GivesPyTorchsValuesAndGradients) {
  Context context;
  for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
    const double bound = dtype == DType::kFloat64 ? 1e-14 : 1e-6;
    const Tensor gate_up = tensor_of(context, {1, 8}, {-4, -1, 0, 2, 0.5, -2, 3, 1.5}, dtype);
    const Tensor d_y = tensor_of(context, {1, 4}, {1, 2, 3, 4}, dtype);
    Tensor y = context.workspace({1, 4}, dtype), d_gate_up = context.workspace({1, 8}, dtype);
    ops::swiglu_forward(context, gate_up, y);
    expect_near(y, {-0.03597241992418312, 0.5378828427399902, 0.0, 2.642391233933647}, bound);
    ops::swiglu_backward(context, d_y, gate_up, d_gate_up);
    expect_near(d_gate_up,
                {-0.026332307445536454, -0.289317952514053, 4.5, 6.544705492709373, -0.07194483984836623,
                 -0.5378828427399902, 0.0, 7.0463766238230585},
                bound);
  }
}

TEST(Swiglu, WantsTwiceTheColumns) {
  Context context;
  const Tensor gate_up = tensor_of(context, {2, 3}, {1, 2, 3, 4, 5, 6}, DType::kFloat32);
  Tensor y = tensor_of(context, {2, 2}, {1, 2, 3, 4}, DType::kFloat32);
  Tensor d_gate_up = gate_up;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::swiglu_forward(context, gate_up, y); }),
            "swiglu_forward: gate_up has shape [2, 3]; expected [2, 4]");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::swiglu_backward(context, y, gate_up, d_gate_up); }),
            "swiglu_backward: gate_up has shape [2, 3]; expected [2, 4]");
}

TEST(Activations, RefuseAnotherShape) {
  Context context;
  const Tensor x = tensor_of(context, {2}, {1, 2}, DType::kFloat32);
  Tensor y = tensor_of(context, {1}, {1}, DType::kFloat32);
  EXPECT_EQ(message_of<ShapeError>([&] { ops::activation_forward(context, Activation::kRelu, x, y); }),
            "activation_forward: y is float32 [1]; expected float32 [2] like x");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::activation_backward(context, Activation::kRelu, y, x, y); }),
            "activation_backward: d_y is float32 [1]; expected float32 [2] like x");
}

}  // namespace
}  // namespace trireme
