#include "core/autograd/functions/batch_norm.h"

#include <gtest/gtest.h>

#include "parallel/comm/thread_communicator.h"
#include "tests/support/test_parameters.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::clone;
using testing::TestParameters;
using testing::values_of;

constexpr int64_t kRows = 12, kCols = 5;

struct Result {
  std::vector<double> y, d_x, d_weight, d_bias, running_mean, running_variance;
};

/// BatchNorm on this rank's rows of one batch; every fourth row is padding.
Result run(int64_t first_row, int64_t rows, Communicator* group) {
  Context context;
  TestParameters parameters;
  BatchNormParameters norm{.weight = &parameters.add("weight", {kCols}),
                           .bias = &parameters.add("bias", {kCols})};
  parameters.allocate(context, 1.0, 0.3);
  norm.running_mean = context.zeros({kCols}, DType::kFloat64, MemoryCategory::kActivations);
  norm.running_variance = context.zeros({kCols}, DType::kFloat64, MemoryCategory::kActivations);
  if (group != nullptr)
    norm.sum_over_ranks = [group](Tensor& sums) { group->all_reduce(sums, ReduceOp::kSum); };
  const auto mine = [&](uint64_t seed) {
    const Tensor all = testing::normal_tensor(context, {kRows, kCols}, DType::kFloat64, seed);
    return clone(context, all.slice(0, first_row, rows));
  };
  Tensor counted = context.workspace({rows}, DType::kInt32);
  for (int64_t i = 0; i < rows; ++i) counted.data<int32_t>()[i] = (first_row + i) % 4 == 3 ? 0 : 1;
  const Variable x = Variable::leaf(context, mine(1));
  const Variable y = batch_norm(context, norm, x, counted);
  backward(context, {{y, mine(2)}});
  return {values_of(y.value()),           values_of(x.gradient()),      values_of(norm.weight->gradient),
          values_of(norm.bias->gradient), values_of(norm.running_mean), values_of(norm.running_variance)};
}

void expect_part(const std::vector<double>& given, const std::vector<double>& all, int64_t begin) {
  for (size_t i = 0; i < given.size(); ++i)
    EXPECT_NEAR(given[i], all[static_cast<size_t>(begin) + i], 1e-12) << i;
}

TEST(DataParallelBatchNorm, WithItsSumsAddedUpEqualsOneRankOverAllRows) {
  const Result expected = run(0, kRows, nullptr);
  for (const int num_ranks : {2, 3, 4}) {
    std::vector<Result> results(static_cast<size_t>(num_ranks));
    const int64_t rows = kRows / num_ranks;
    comm::run_thread_ranks(num_ranks, [&](Communicator& world) {
      results[static_cast<size_t>(world.rank())] = run(world.rank() * rows, rows, &world);
    });
    std::vector<double> d_weight(kCols, 0.0), d_bias(kCols, 0.0);
    for (int rank = 0; rank < num_ranks; ++rank) {
      const Result& result = results[static_cast<size_t>(rank)];
      expect_part(result.y, expected.y, rank * rows * kCols);
      expect_part(result.d_x, expected.d_x, rank * rows * kCols);
      expect_part(result.running_mean, expected.running_mean, 0);
      expect_part(result.running_variance, expected.running_variance, 0);
      for (size_t i = 0; i < kCols; ++i) {
        d_weight[i] += result.d_weight[i];
        d_bias[i] += result.d_bias[i];
      }
    }
    expect_part(d_weight, expected.d_weight, 0);
    expect_part(d_bias, expected.d_bias, 0);
  }
}

}  // namespace
}  // namespace trireme
