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
  Tensor sums_of(int64_t num_heads, const Tensor& x) {
    Tensor sums = context.workspace({x.rows(), x.cols() / num_heads}, DType::kFloat64);
    ops::head_disagreement_sums(context, num_heads, x, sums);
    return sums;
  }
  Tensor sums_of(const Tensor& maps) {
    Tensor sums = context.workspace({maps.size(0) * maps.size(2), maps.size(3)}, DType::kFloat64);
    ops::map_disagreement_sums(context, maps, sums);
    return sums;
  }
  void of_heads(int64_t num_heads, const Tensor& x, const Tensor& counted) {
    ops::disagreement_forward(context, num_heads, sums_of(num_heads, x), counted, ops::OverRows::kMean,
                              values);
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
  of_heads(kHeads, x, counted);
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
  ops::disagreement_forward(context, kHeads, sums_of(maps), counted, ops::OverRows::kSum, values);
  expect_near(values, expected, 20 * bound);
}

TEST_P(Disagreement, IsLeastForEqualHeadsAndOneOverHForHeadsAtRightAngles) {
  const Tensor x = tensor_of(context, {2, 4}, {1, 2, 1, 2, 3, 0, 0, 5}, GetParam());
  of_heads(2, x, Tensor());
  expect_near(values, {-1.0, -0.5}, bound);
}

TEST_P(Disagreement, OfASampleWithoutRowsIsZeroAndHasNoGradient) {
  const Tensor x = tensor_of(context, {2, 4}, {0, 0, 1, 2, 3, 0, 0, 5}, GetParam());
  const Tensor counted = tensor_of(context, {2}, {1, 0}, DType::kInt32);
  Tensor d_x = context.workspace({2, 4}, GetParam());
  of_heads(2, x, counted);
  expect_near(values, {-0.25, 0.0}, bound);  // a vector of zeros has no direction
  ops::head_disagreement_backward(context, 2, x, sums_of(2, x), counted, values, d_x);
  expect_near(d_x, std::vector<double>(8, 0.0), bound);
}

/// Two ranks with a part of the heads each, as one with all of them.
TEST_P(Disagreement, OfHeadsDividedInPartsNeedsTheSumOfTheirSumsAlone) {
  const Tensor x = draw({2 * kLength, 4 * kDim}), counted = some_rows(context);
  const Tensor whole = sums_of(4, x);
  const Tensor d_values = tensor_of(context, {2}, {0.5, -2.0}, DType::kFloat64);
  Tensor d_x = context.workspace(x.shape(), GetParam());
  ops::head_disagreement_backward(context, 4, x, whole, counted, d_values, d_x);
  std::vector<double> sums(static_cast<size_t>(whole.num_elements()), 0.0);
  for (const auto& [begin, heads] : {std::pair{0, 1}, std::pair{1, 3}}) {
    const Tensor part = x.slice(-1, begin * kDim, heads * kDim);
    const std::vector<double> of_part = values_of(sums_of(heads, part));
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += of_part[i];
    Tensor d_part = context.workspace({2 * kLength, heads * kDim}, GetParam());
    ops::head_disagreement_backward(context, 4, part, whole, counted, d_values, d_part);
    expect_near(d_part, values_of(d_x.slice(-1, begin * kDim, heads * kDim)), 0);
  }
  expect_near(whole, sums, bound);
}

TEST_P(Disagreement, RefusesWhatDoesNotFit) {
  const Tensor x = draw({4, 6});
  Tensor sums = context.workspace({4, 2}, DType::kFloat64);
  EXPECT_THAT(
      message_of<ShapeError>([&] { ops::head_disagreement_sums(context, 4, x, sums); }),
      HasSubstr("head_disagreement_sums: x has shape [4, 6]; expected [rows, a multiple of 4 heads]"));
  const Tensor few = tensor_of(context, {3}, {1, 1, 1}, DType::kInt32);
  EXPECT_THAT(message_of<ShapeError>(
                  [&] { ops::disagreement_forward(context, 3, sums, few, ops::OverRows::kMean, values); }),
              HasSubstr("counted has shape [3]; expected 4 elements"));
  EXPECT_THAT(message_of<ShapeError>([&] { ops::map_disagreement_sums(context, few, sums); }),
              HasSubstr("map_disagreement_sums: probabilities"));
}

INSTANTIATE_TEST_SUITE_P(Types, Disagreement, ::testing::Values(DType::kFloat64, DType::kFloat32),
                         [](const auto& info) { return std::string(name_of(info.param)); });

}  // namespace
}  // namespace trireme
