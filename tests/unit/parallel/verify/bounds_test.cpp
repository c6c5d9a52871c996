#include <gtest/gtest.h>

#include <cmath>

#include "parallel/verify/difference.h"

namespace trireme::verify {
namespace {

Difference with_gradient(double error) {
  Difference difference;
  difference.tensors.push_back({.name = "weight", .gradient = error, .step = 1, .weight = error});
  difference.loss = difference.grad_norm = error;
  return difference;
}

TEST(Bounds, AreFourTimesWhatRoundingCostsOneRankAndNeverLessThanTheLeast) {
  const Bounds bounds = bounds_of(Precision::kFp32, with_gradient(1e-4));
  EXPECT_DOUBLE_EQ(bounds.gradient, 4e-4);
  EXPECT_DOUBLE_EQ(bounds.grad_norm, 4e-4);
  EXPECT_DOUBLE_EQ(bounds_of(Precision::kFp32, with_gradient(0)).gradient, 2e-5);
}

TEST(Bounds, AModelThatRoundingMovesFarIsJudgedInFp64Alone) {
  EXPECT_TRUE(std::isinf(bounds_of(Precision::kFp32, with_gradient(2e-3)).gradient));
  EXPECT_TRUE(std::isfinite(bounds_of(Precision::kBf16, with_gradient(1)).gradient));
}

TEST(Bounds, WithoutABoundCopiesMustStillBeTheSameBits) {
  Difference difference = with_gradient(0.1);
  const Bounds none = bounds_of(Precision::kFp32, with_gradient(0.1));
  EXPECT_TRUE(disagreements(difference, none).empty());
  difference.problems.push_back("copies differ");
  EXPECT_EQ(disagreements(difference, none).size(), 1u);
}

}  // namespace
}  // namespace trireme::verify
