#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/test_parameters.h"

namespace trireme::testing {
namespace {

std::vector<double> drawn(Context& context, Parameter& parameter, uint64_t seed) {
  const ParameterStore store(context, ParameterLayout({&parameter}, {}));
  initialize(context, parameter, seed);
  std::vector<double> values;
  for (int64_t i = 0; i < parameter.value.num_elements(); ++i) values.push_back(element(parameter.value, i));
  return values;
}

TEST(Parameter, IsDrawnFromItsLogicalNameAndCoordinatesOnly) {
  Context context;
  Parameter whole = nn::whole_parameter("a.weight", {8, 6}, nn::normal(0.5), true);
  const std::vector<double> expected = drawn(context, whole, 3);

  Parameter part = nn::whole_parameter("a.weight", {3, 4}, nn::normal(0.5), true);  // a box of it on one rank
  part.pieces[0].global_shape = {8, 6};
  part.pieces[0].offset = {2, 1};
  const std::vector<double> box = drawn(context, part, 3);
  for (size_t row = 0; row < 3; ++row)
    for (size_t col = 0; col < 4; ++col) EXPECT_EQ(box[row * 4 + col], expected[(row + 2) * 6 + col + 1]);
}

TEST(Parameter, PackedFromPiecesHoldsWhatEachPieceWouldHold) {
  Context context;
  Parameter first = nn::whole_parameter("q", {4, 6}, nn::normal(1.0), true);
  Parameter second = nn::whole_parameter("k", {2, 6}, nn::normal(1.0), true);
  Parameter packed = nn::packed_parameter("qk", {{"q", {4, 6}}, {"k", {2, 6}}}, nn::normal(1.0), true);
  std::vector<double> expected = drawn(context, first, 3);
  for (const double value : drawn(context, second, 3)) expected.push_back(value);
  EXPECT_EQ(drawn(context, packed, 3), expected);
  EXPECT_EQ(packed.shape, (Shape{6, 6}));
}

TEST(Parameter, DrawnWithAnotherSeedOrNameIsAnother) {
  Context context;
  Parameter a = nn::whole_parameter("a", {4, 4}, nn::normal(1.0), true);
  Parameter b = nn::whole_parameter("b", {4, 4}, nn::normal(1.0), true);
  EXPECT_NE(drawn(context, a, 1), drawn(context, a, 2));
  EXPECT_NE(drawn(context, a, 1), drawn(context, b, 1));
}

TEST(Parameter, HasTheAskedMeanAndStandardDeviation) {
  Context context;
  Parameter parameter = nn::whole_parameter("a", {200, 100}, nn::normal(0.02), true);
  double sum = 0, squares = 0;
  const std::vector<double> values = drawn(context, parameter, 1);
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  const auto count = static_cast<double>(values.size());
  EXPECT_NEAR(sum / count, 0.0, 0.02 * 4 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), 0.02, 0.02 * 0.03);
}

TEST(Parameter, StartsAtZeroOrOneWhereTheRuleSaysSo) {
  Context context;
  Parameter zeros = nn::whole_parameter("a", {4}, nn::zeros(), false);
  Parameter ones = nn::whole_parameter("b", {4}, nn::ones(), false);
  EXPECT_EQ(drawn(context, zeros, 1), std::vector<double>(4, 0.0));
  EXPECT_EQ(drawn(context, ones, 1), std::vector<double>(4, 1.0));
}

TEST(Parameter, BeginsWithTheFrequenciesOfSinusoidsInEveryRowAlsoInAPartOfIt) {
  Context context;
  Parameter whole = nn::whole_parameter("a", {2, 4}, nn::frequencies(), true);
  const std::vector<double> values = drawn(context, whole, 1);
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], std::pow(10.0, -double(i % 4)), 1e-7);
  Tensor part = context.workspace({1, 2}, DType::kFloat64);
  draw_initial(context, whole, 0, {1, 2}, part, 1);
  EXPECT_DOUBLE_EQ(element(part, 1), 1e-3);
}

TEST(Parameter, ValuesInBf16AreTheRoundedMasters) {
  Context context;
  Parameter parameter = nn::whole_parameter("a", {5, 7}, nn::normal(1.0), true);
  PrecisionConfig precision;
  precision.dtype = Precision::kBf16;
  const ParameterStore store(context, ParameterLayout({&parameter}, precision));
  initialize(context, parameter, 1);
  for (int64_t i = 0; i < 35; ++i)
    EXPECT_EQ(element(parameter.value, i),
              static_cast<float>(bfloat16(static_cast<float>(element(parameter.master, i)))));
}

}  // namespace
}  // namespace trireme::testing
