#include "core/ops/rotary.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/op_case.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::expect_near;
using testing::message_of;
using testing::random_tensor;
using testing::tensor_of;

double dot(const Tensor& a, const Tensor& b) {
  const auto x = testing::values_of(a), y = testing::values_of(b);
  double total = 0;
  for (size_t i = 0; i < x.size(); ++i) total += x[i] * y[i];
  return total;
}

TEST(Rotary, TurnsTheFirstPairByThePositionInRadians) {
  Context context;
  const Tensor positions = tensor_of(context, {1}, {2}, DType::kInt32);
  const double angle = 2.0 * std::pow(10000.0, -0.5);
  Tensor halves = tensor_of(context, {1, 4}, {1, 1, 0, 0});
  ops::rotary(context, {1, 4, 10000.0, false}, positions, halves, false);
  expect_near(halves, {std::cos(2.0), std::cos(angle), std::sin(2.0), std::sin(angle)}, 1e-15);
  Tensor neighbours = tensor_of(context, {1, 4}, {1, 0, 1, 0});
  ops::rotary(context, {1, 4, 10000.0, true}, positions, neighbours, false);
  expect_near(neighbours, {std::cos(2.0), std::sin(2.0), std::cos(angle), std::sin(angle)}, 1e-15);
}

TEST(Rotary, ProductOfQueryAndKeyDependsOnTheirDistanceOnly) {
  Context context;
  for (const bool interleaved : {false, true})
    for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
      const ops::RotaryOptions options = {1, 64, 10000.0, interleaved};
      double first = 0;
      for (const double shift : {0.0, 1.0, 977.0}) {
        Tensor query = random_tensor(context, {1, 64}, dtype, dtype, 1);
        Tensor key = random_tensor(context, {1, 64}, dtype, dtype, 2);
        ops::rotary(context, options, tensor_of(context, {1}, {25 + shift}, DType::kInt32), query, false);
        ops::rotary(context, options, tensor_of(context, {1}, {11 + shift}, DType::kInt32), key, false);
        if (shift == 0.0) first = dot(query, key);
        EXPECT_NEAR(dot(query, key), first, dtype == DType::kFloat64 ? 1e-10 : 1e-4);
      }
    }
}

TEST(Rotary, InverseTurnsBack) {
  Context context;
  for (const bool interleaved : {false, true})
    for (const DType dtype : {DType::kFloat64, DType::kFloat32}) {
      const ops::RotaryOptions options = {3, 16, 500000.0, interleaved};
      const Tensor positions = tensor_of(context, {2, 2}, {0, 5, 123456, 7}, DType::kInt32);
      Tensor x = random_tensor(context, {4, 48}, dtype, dtype, 3);
      const auto before = testing::values_of(x);
      ops::rotary(context, options, positions, x, false);
      ops::rotary(context, options, positions, x, true);
      expect_near(x, before, dtype == DType::kFloat64 ? 1e-14 : 1e-6);
    }
}

TEST(Rotary, TurnsOnlyItsColumnsOfAPackedProjection) {
  Context context;
  Tensor packed = random_tensor(context, {2, 24}, DType::kFloat32, DType::kFloat32, 4);
  const auto before = testing::values_of(packed);
  Tensor key = packed.slice(1, 8, 8);
  ops::rotary(context, {2, 4}, tensor_of(context, {2}, {3, 4}, DType::kInt32), key, false);
  const auto after = testing::values_of(packed);
  for (size_t i = 0; i < after.size(); ++i) {
    const bool inside = i % 24 >= 8 && i % 24 < 16;
    EXPECT_EQ(after[i] != before[i], inside) << i;
  }
}

TEST(Rotary, RefusesOddHeadsWrongWidthAndMissingPositions) {
  Context context;
  Tensor x = tensor_of(context, {1, 6}, {1, 2, 3, 4, 5, 6}, DType::kFloat32);
  const Tensor positions = tensor_of(context, {1}, {0}, DType::kInt32);
  const Tensor two = tensor_of(context, {2}, {0, 1}, DType::kInt32);
  EXPECT_EQ(message_of<ShapeError>([&] {
              ops::rotary(context, {2, 3}, positions, x, false);
            }),
            "rotary: head_dim is 3; expected a positive even number");
  EXPECT_EQ(message_of<ShapeError>([&] {
              ops::rotary(context, {2, 4}, positions, x, false);
            }),
            "rotary: x has shape [1, 6]; expected 8 columns: 2 heads of 4");
  EXPECT_EQ(message_of<ShapeError>([&] {
              ops::rotary(context, {3, 2}, two, x, false);
            }),
            "rotary: positions has shape [2]; expected 1 elements, one per row of x");
}

}  // namespace
}  // namespace trireme
