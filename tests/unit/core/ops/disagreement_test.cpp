#include "core/ops/disagreement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "tests/support/op_case.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::tensor_of;
using testing::values_of;

class Disagreement : public ::testing::TestWithParam<DType> {
 protected:
  const double bound = GetParam() == DType::kFloat64 ? 1e-14 : 1e-6;
  Context context;
  Tensor values = context.workspace({2}, DType::kFloat64);

  Tensor draw(const Shape& shape) {
    return testing::random_tensor(context, shape, DType::kBFloat16, GetParam(), 3, true);
  }
};

constexpr int64_t kLength = 5, kHeads = 3, kDim = 4, kKeys = 6;

/// Row 2 of the first sample and all but row 1 of the second are left out.
Tensor some_rows(Context& context) {
  return tensor_of(context, {2 * kLength}, {1, 1, 0, 1, 1, 0, 1, 0, 0, 0}, DType::kInt32);
}

TEST_P(Disagreement, OfHeadsIsMinusTheMeanCosineOfAllOrderedPairs) {
  const Tensor x = draw({2 * kLength, kHeads * kDim}), counted = some_rows(context);
  const std::vector<double> of = values_of(x);
  std::vector<double> expected(2, 0.0);
  for (const int64_t row : {0, 1, 3, 4, 6}) {
    double cosines = 0;
    for (int64_t a = 0; a < kHeads; ++a)
      for (int64_t b = 0; b < kHeads; ++b) {
        double ab = 0, aa = 0, bb = 0;
        for (int64_t i = 0; i < kDim; ++i) {
          const double left = of[(row * kHeads + a) * kDim + i], right = of[(row * kHeads + b) * kDim + i];
          ab += left * right;
          aa += left * left;
          bb += right * right;
        }
        cosines += ab / std::sqrt(aa * bb);
      }
    expected[row / kLength] -= cosines / (kHeads * kHeads) / (row < kLength ? 4 : 1);
  }
  ops::head_disagreement_forward(context, kHeads, x, counted, values);
  expect_near(values, expected, bound);
}

TEST_P(Disagreement, OfMapsIsMinusTheMeanInnerProductOfAllOrderedPairs) {
  Tensor maps = testing::random_tensor(context, {2, kHeads, kLength, kKeys}, DType::kBFloat16, GetParam(), 3);
  const Tensor counted = some_rows(context);
  const std::vector<double> of = values_of(maps);
  std::vector<double> expected(2, 0.0);
  for (const int64_t row : {0, 1, 3, 4, 6})
    for (int64_t a = 0; a < kHeads; ++a)
      for (int64_t b = 0; b < kHeads; ++b)
        for (int64_t key = 0; key < kKeys; ++key) {
          const int64_t sample = row / kLength, query = row % kLength;
          expected[sample] -= of[((sample * kHeads + a) * kLength + query) * kKeys + key] *
                              of[((sample * kHeads + b) * kLength + query) * kKeys + key] / (kHeads * kHeads);
        }
  ops::map_disagreement_forward(context, maps, counted, values);
  expect_near(values, expected, 20 * bound);
}

TEST_P(Disagreement, IsLeastForEqualHeadsAndOneOverHForHeadsAtRightAngles) {
  const Tensor x = tensor_of(context, {2, 4}, {1, 2, 1, 2, 3, 0, 0, 5}, GetParam());
  ops::head_disagreement_forward(context, 2, x, Tensor(), values);
  expect_near(values, {-1.0, -0.5}, bound);
}

TEST_P(Disagreement, OfASampleWithoutRowsIsZeroAndHasNoGradient) {
  const Tensor x = tensor_of(context, {2, 4}, {0, 0, 1, 2, 3, 0, 0, 5}, GetParam());
  const Tensor counted = tensor_of(context, {2}, {1, 0}, DType::kInt32);
  Tensor d_x = context.workspace({2, 4}, GetParam());
  ops::head_disagreement_forward(context, 2, x, counted, values);
  expect_near(values, {-0.25, 0.0}, bound);  // a vector of zeros has no direction
  ops::head_disagreement_backward(context, 2, x, counted, values, d_x);
  expect_near(d_x, std::vector<double>(8, 0.0), bound);
}

TEST_P(Disagreement, RefusesWhatDoesNotFit) {
  const Tensor x = draw({4, 6});
  EXPECT_THAT(
      message_of<ShapeError>([&] { ops::head_disagreement_forward(context, 4, x, Tensor(), values); }),
      HasSubstr("head_disagreement_forward: x has shape [4, 6]; expected [rows, a multiple of 4 heads]"));
  const Tensor few = tensor_of(context, {3}, {1, 1, 1}, DType::kInt32);
  EXPECT_THAT(message_of<ShapeError>([&] { ops::head_disagreement_forward(context, 3, x, few, values); }),
              HasSubstr("counted has shape [3]; expected 4 elements"));
  EXPECT_THAT(message_of<ShapeError>([&] { ops::map_disagreement_forward(context, few, Tensor(), values); }),
              HasSubstr("map_disagreement_forward: probabilities"));
}

INSTANTIATE_TEST_SUITE_P(Types, Disagreement, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace trireme
