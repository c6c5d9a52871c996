#include "core/ops/elementwise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/op_case.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using testing::message_of;
using testing::tensor_of;

TEST(Elementwise, AddsOverItsOwnInput) {
  Context context;
  Tensor a = tensor_of(context, {2, 2}, {1, 2, 3, 4}, DType::kFloat32);
  const Tensor b = tensor_of(context, {2, 2}, {10, 20, 30, 40}, DType::kFloat32);
  ops::add(context, a, b, a);
  expect_near(a, {11, 22, 33, 44}, 0);
}

TEST(Elementwise, WritesOnlyTheColumnsOfAColumnSlice) {
  Context context;
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16, DType::kFloat16, DType::kFloat64}) {
    Tensor whole = tensor_of(context, {2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}, dtype);
    Tensor middle = whole.slice(1, 1, 2);
    ops::scale(context, middle, 10);
    expect_near(whole, {1, 20, 30, 4, 5, 60, 70, 8}, 0);
    ops::fill(context, middle, -1);
    expect_near(whole, {1, -1, -1, 4, 5, -1, -1, 8}, 0);
  }
}

TEST(Elementwise, RefusesAnotherShapeAndSaysWhich) {
  Context context;
  const Tensor a = tensor_of(context, {2, 2}, {1, 2, 3, 4}, DType::kFloat32);
  const Tensor b = tensor_of(context, {1, 4}, {1, 2, 3, 4}, DType::kFloat32);
  Tensor c = a;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::add(context, a, b, c); }),
            "add: b is float32 [1, 4]; expected float32 [2, 2] like a");
}

TEST(Elementwise, RefusesAnotherType) {
  Context context;
  const Tensor a = tensor_of(context, {1}, {1}, DType::kFloat32);
  const Tensor b = tensor_of(context, {1}, {1}, DType::kBFloat16);
  Tensor c = a;
  Tensor integers = tensor_of(context, {1}, {1}, DType::kInt32);
  Tensor undefined;
  EXPECT_EQ(message_of<ShapeError>([&] { ops::add(context, a, b, c); }),
            "add: b is bfloat16 [1]; expected float32 [1] like a");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::fill(context, integers, 0); }),
            "fill: x is int32; expected a floating type");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::scale(context, undefined, 0); }),
            "scale: x is undefined; expected a tensor");
  EXPECT_EQ(message_of<ShapeError>([&] { ops::cast(context, a, integers); }),
            "cast: y is int32; expected a floating type");
}

/// The vector code rounds like the scalar type, whatever the bits: ties, overflow, infinity, NaN, subnormals.
TEST(Cast, RoundsToBFloat16LikeTheScalarTypeOnEveryUpperPattern) {
  Context context;
  constexpr int64_t kPatterns = 65536;
  Tensor x = context.workspace({5, kPatterns}, DType::kFloat32);
  const uint32_t lower[5] = {0x0000u, 0x0001u, 0x7FFFu, 0x8000u, 0x8001u};
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < kPatterns; ++j) {
      const uint32_t word = static_cast<uint32_t>(j) << 16 | lower[i];
      std::memcpy(x.row<float>(i) + j, &word, 4);
    }
  Tensor y = context.workspace({5, kPatterns}, DType::kBFloat16);
  ops::cast(context, x, y);
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < kPatterns; ++j)
      ASSERT_EQ(y.row<bfloat16>(i)[j].bits, bfloat16(x.row<float>(i)[j]).bits) << i << " " << j;
}

/// The bits below a half's last one: exact, above, below, at and above the tie; with every sign, exponent and
/// mantissa, so that subnormal results (ties at other bits) and overflow are among them.
TEST(Cast, RoundsToFloat16LikeTheScalarTypeOnEveryUpperPattern) {
  Context context;
  constexpr int64_t kPatterns = 1 << 19;
  Tensor x = context.workspace({5, kPatterns}, DType::kFloat32);
  const uint32_t lower[5] = {0x0000u, 0x0001u, 0x0FFFu, 0x1000u, 0x1001u};
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < kPatterns; ++j) {
      const uint32_t word = static_cast<uint32_t>(j) << 13 | lower[i];
      std::memcpy(x.row<float>(i) + j, &word, 4);
    }
  Tensor y = context.workspace({5, kPatterns}, DType::kFloat16);
  ops::cast(context, x, y);
  for (int64_t i = 0; i < 5; ++i)
    for (int64_t j = 0; j < kPatterns; ++j)
      ASSERT_EQ(y.row<float16>(i)[j].bits, float16(x.row<float>(i)[j]).bits) << i << " " << j;
}

TEST(Cast, ReadsEveryFloat16LikeTheScalarType) {
  Context context;
  constexpr int64_t kPatterns = 65536;
  Tensor x = context.workspace({kPatterns}, DType::kFloat16);
  for (int64_t j = 0; j < kPatterns; ++j) x.data<float16>()[j].bits = static_cast<uint16_t>(j);
  Tensor y = context.workspace({kPatterns}, DType::kFloat32);
  ops::cast(context, x, y);
  for (int64_t j = 0; j < kPatterns; ++j) {
    const float expected = static_cast<float>(x.data<float16>()[j]);
    ASSERT_EQ(std::memcmp(y.data<float>() + j, &expected, 4), 0) << j;
  }
}

TEST(Cast, RoundsThePaddedEndOfARowToo) {
  Context context;
  const Tensor x = tensor_of(context, {1, 3}, {1.00390625, 1.01171875, -1.0039064}, DType::kFloat32);
  Tensor y = context.workspace({1, 3}, DType::kBFloat16);
  ops::cast(context, x, y);
  expect_near(y, {1.0, 1.015625, -1.0078125}, 0);  // tie to even down, tie to even up, above the tie
}

TEST(Cast, GoesThroughFloat16AndFloat64) {
  Context context;
  const Tensor x = tensor_of(context, {2}, {1.0 / 3.0, 70000.0}, DType::kFloat64);
  Tensor half = context.workspace({2}, DType::kFloat16);
  Tensor single = context.workspace({2}, DType::kFloat32);
  ops::cast(context, x, half);
  ops::cast(context, half, single);
  EXPECT_EQ(single.data<float>()[0], 0.333251953125f);
  EXPECT_EQ(single.data<float>()[1], std::numeric_limits<float>::infinity());
}

TEST(Elementwise, CountsItsTimeInTheTrace) {
  Context context;
  Tensor x = tensor_of(context, {1}, {1}, DType::kFloat32);
  ops::scale(context, x, 2);
  ops::scale(context, x, 2);
  EXPECT_EQ(context.trace.entries().at("op/scale").calls, 2);
}

}  // namespace
}  // namespace trireme
