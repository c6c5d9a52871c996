#include "core/ops/reduce.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "core/ops/elementwise.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using testing::message_of;
using testing::tensor_of;

TEST(Sum, AddsInDoubleWhereFloatWouldStandStill) {
  Context context;
  Tensor x = context.workspace({1 << 20}, DType::kFloat32);
  ops::fill(context, x, 0.1);
  const double each = static_cast<double>(0.1f);
  EXPECT_NEAR(ops::sum(context, x), each * (1 << 20), 1e-6);
  EXPECT_NEAR(ops::sum_of_squares(context, x), each * each * (1 << 20), 1e-6);
}

TEST(Sum, LeavesOutWhatLiesBetweenTheRows) {
  Context context;
  const Tensor whole = tensor_of(context, {3, 3}, {1, 100, 100, 2, 100, 100, 3, 100, 100}, DType::kFloat32);
  EXPECT_EQ(ops::sum(context, whole.slice(1, 0, 1)), 6);
  EXPECT_EQ(ops::sum_of_squares(context, whole.slice(1, 0, 1)), 14);
}

TEST(Sum, OfNothingIsZero) {
  Context context;
  const Tensor empty = context.workspace({0, 4}, DType::kFloat32);
  EXPECT_EQ(ops::sum(context, empty), 0);
  EXPECT_EQ(ops::count_non_finite(context, empty), 0);
}

TEST(CountNonFinite, FindsInfinityAndNanInEveryType) {
  Context context;
  const double infinity = std::numeric_limits<double>::infinity();
  for (const DType dtype : {DType::kFloat64, DType::kFloat32, DType::kBFloat16, DType::kFloat16}) {
    Tensor x = context.workspace({1, 1001}, dtype);
    ops::fill(context, x, 65504.0);
    Tensor one = x.slice(1, 0, 1), another = x.slice(1, 500, 1), last = x.slice(1, 1000, 1);
    EXPECT_EQ(ops::count_non_finite(context, x), 0);
    ops::fill(context, one, infinity);
    ops::fill(context, another, -infinity);
    ops::fill(context, last, std::nan(""));
    EXPECT_EQ(ops::count_non_finite(context, x), 3) << name_of(dtype);
  }
}

TEST(ColumnSum, AddsToWhatIsThereWhenAsked) {
  Context context;
  const Tensor x = tensor_of(context, {3, 2}, {1, 2, 3, 4, 5, 6}, DType::kFloat32);
  Tensor out = tensor_of(context, {2}, {100, 200}, DType::kFloat32);
  ops::column_sum(context, x, out, true);
  expect_near(out, {109, 212}, 0);
  ops::column_sum(context, x, out, false);
  expect_near(out, {9, 12}, 0);
}

TEST(ColumnSum, WantsASumPerColumnInTheWideType) {
  Context context;
  const Tensor x = tensor_of(context, {1, 2}, {1, 2}, DType::kBFloat16);
  Tensor narrow = tensor_of(context, {2}, {0, 0}, DType::kBFloat16);
  Tensor longer = tensor_of(context, {3}, {0, 0, 0}, DType::kFloat32);
  EXPECT_EQ(message_of<ShapeError>([&] { ops::column_sum(context, x, narrow, false); }),
            "column_sum: out is bfloat16; expected float32");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::column_sum(context, x, longer, false); }),
            "column_sum: out has shape [3]; expected [2]");
}

}  // namespace
}  // namespace trireme
