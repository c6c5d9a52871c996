#include "core/ops/batch_norm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "core/autograd/functions/batch_norm.h"
#include "core/autograd/functions/recompute.h"
#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "tests/support/test_parameters.h"
#include "tests/support/values.h"

// Values from PyTorch: tests/oracle/functions_oracle_test.cpp.
namespace trireme {
namespace {

using testing::expect_near;
using ::testing::HasSubstr;
using testing::message_of;
using testing::tensor_of;
using testing::values_of;

const double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(BatchNorm, NeverReadsRowsThatDoNotCount) {
  Context context;
  const Tensor counted = tensor_of(context, {4}, {1, 0, 1, 0}, DType::kInt32);
  const Tensor x = tensor_of(context, {4, 2}, {1, 2, kNan, kNan, 3, 6, kNan, kNan});
  const Tensor d_y = tensor_of(context, {4, 2}, {1, 0, kNan, kNan, 0, 2, kNan, kNan});
  const Tensor ones = tensor_of(context, {2}, {1, 1}), zeros = tensor_of(context, {2}, {0, 0});
  Tensor sums = context.workspace({5}, DType::kFloat64), mean = context.workspace({2}, DType::kFloat64),
         rstd = context.workspace({2}, DType::kFloat64), y = context.workspace({4, 2}, DType::kFloat64),
         d_sums = context.workspace({4}, DType::kFloat64), d_x = context.workspace({4, 2}, DType::kFloat64);
  ops::batch_norm_sums(context, x, counted, sums);
  expect_near(sums, {4, 8, 10, 40, 2}, 0);
  ops::batch_norm_statistics(context, sums, 0.0, mean, rstd);
  expect_near(mean, {2, 4}, 0);
  expect_near(rstd, {1, 0.5}, 0);
  ops::batch_norm_forward(context, x, counted, mean, rstd, ones, zeros, y);
  expect_near(y, {-1, -1, 0, 0, 1, 1, 0, 0}, 0);
  ops::batch_norm_backward_sums(context, d_y, x, counted, mean, rstd, d_sums);
  expect_near(d_sums, {1, 2, -1, 2}, 0);
  ops::batch_norm_backward(context, d_y, x, counted, mean, rstd, ones, &d_sums, 2, d_x);
  expect_near(d_x, std::vector<double>(8, 0.0),
              1e-15);  // two rows are normalised to -1 and 1 whatever they hold
}

TEST(BatchNorm, GivesAFiniteScaleWhereAllRowsAreEqual) {
  Context context;
  const Tensor x = tensor_of(context, {3, 1}, {0.1, 0.1, 0.1}, DType::kFloat32);
  Tensor sums = context.workspace({3}, DType::kFloat64), mean = context.workspace({1}, DType::kFloat32),
         rstd = context.workspace({1}, DType::kFloat32);
  ops::batch_norm_sums(context, x, Tensor(), sums);
  ops::batch_norm_statistics(context, sums, 1e-5, mean, rstd);
  EXPECT_NEAR(values_of(rstd)[0], 316.2, 0.1);
}

TEST(BatchNorm, WantsRowsThatCount) {
  Context context;
  Tensor sums = tensor_of(context, {3}, {0, 0, 0}), one = tensor_of(context, {1}, {1}), two = one;
  EXPECT_THAT(message_of<DataError>([&] { ops::batch_norm_statistics(context, sums, 1e-5, one, two); }),
              HasSubstr("batch_norm_statistics: 0 rows count, 1 are needed"));
  sums.data<double>()[2] = 1;
  EXPECT_THAT(message_of<DataError>([&] { ops::update_running_statistics(context, sums, 0.1, one, two); }),
              HasSubstr("update_running_statistics: 1 rows count, 2 are needed"));
}

TEST(BatchNorm, RefusesWhatDoesNotFit) {
  Context context;
  const Tensor x = tensor_of(context, {2, 3}, {1, 2, 3, 4, 5, 6});
  Tensor sums = context.workspace({6}, DType::kFloat64), wide = context.workspace({7}, DType::kFloat32);
  EXPECT_EQ(message_of<ShapeError>([&] { ops::batch_norm_sums(context, x, Tensor(), sums); }),
            "batch_norm_sums: sums has shape [6]; expected [7]");
  EXPECT_THAT(message_of<ShapeError>([&] { ops::batch_norm_sums(context, x, Tensor(), wide); }),
              HasSubstr("batch_norm_sums: sums is float32"));
  const Tensor counted = tensor_of(context, {3}, {1, 1, 1}, DType::kInt32);
  EXPECT_THAT(message_of<ShapeError>([&] { ops::batch_norm_sums(context, x, counted, sums); }),
              HasSubstr("counted has shape [3]; expected 2 elements, one a row"));
}

/// The running statistics of a part that is computed twice move once.
TEST(BatchNorm, MovesItsRunningStatisticsOnceUnderRecomputation) {
  Context context;
  testing::TestParameters parameters;
  BatchNormParameters norm{.weight = &parameters.add("weight", {2}), .bias = &parameters.add("bias", {2})};
  parameters.allocate(context);
  const auto after = [&](bool recomputed) {
    norm.running_mean = tensor_of(context, {2}, {0, 0});
    norm.running_variance = tensor_of(context, {2}, {1, 1});
    const Variable x = Variable::leaf(context, tensor_of(context, {3, 2}, {1, 2, 3, 4, 5, 9}));
    const auto part = [&](Context& c, const std::vector<Variable>& in) -> std::vector<Variable> {
      return {batch_norm(c, norm, in[0], Tensor())};
    };
    const Variable y =
        recomputed ? recompute(context, {norm.weight, norm.bias}, part, {x})[0] : part(context, {x})[0];
    backward(context, {{y, tensor_of(context, {3, 2}, {1, 2, 3, 4, 5, 6})}});
    parameters.store().begin_accumulation();
    return values_of(norm.running_variance);
  };
  EXPECT_EQ(after(true), after(false));
  EXPECT_NE(after(true), (std::vector<double>{1, 1}));
}

}  // namespace
}  // namespace trireme
