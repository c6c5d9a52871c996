#include <gtest/gtest.h>

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

}  // namespace
}  // namespace trireme::verify
