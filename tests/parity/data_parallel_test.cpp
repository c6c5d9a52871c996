#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/parity.h"

namespace trireme {
namespace {

using testing::ParityError;
using testing::ParityRun;
using testing::ParityTrace;

struct Layout {
  int ranks;
  int64_t micro_batch_size;
};

/// Every division of 12 samples over 1 to 4 ranks.
std::vector<Layout> all_layouts() {
  std::vector<Layout> layouts;
  for (int ranks = 1; ranks <= 4; ++ranks)
    for (int64_t micro = 1; micro <= 12 / ranks; ++micro)
      if (12 % (ranks * micro) == 0) layouts.push_back({ranks, micro});
  return layouts;
}

/// Bounds of ParityError. float64: the project promises 1e-10 and 1e-9; what was measured is 1e-15 and 6e-15.
/// float32: measured 5e-7 for one step, 3e-6 over 50.
struct Bound {
  Precision precision;
  double first_step;
  double all_steps;
};
constexpr Bound kBounds[] = {{Precision::kFp64, 1e-13, 1e-12}, {Precision::kFp32, 5e-6, 3e-5}};

class DataParallelParity : public ::testing::TestWithParam<bool> {
 protected:
  GptConfig model() const { return GetParam() ? testing::parity_llama() : testing::parity_gpt2(); }
};

TEST_P(DataParallelParity, EveryDivisionGivesTheGradientsAndLossesOfOneRank) {
  for (const Bound& bound : kBounds) {
    ParityRun run{.model = model(), .precision = bound.precision};
    const ParityTrace alone = testing::train_alone(run);
    EXPECT_LT(alone.steps.back().loss, 0.9 * alone.steps.front().loss) << "the model should learn";
    double worst = 0;
    for (const Layout& layout : all_layouts()) {
      run.micro_batch_size = layout.micro_batch_size;
      const ParityTrace trace = testing::train_on_threads(layout.ranks, run);
      const std::string what =
          fmt::format("{} ranks, micro-batches of {}", layout.ranks, layout.micro_batch_size);
      const ParityError first = testing::compare(trace, alone, 1);
      EXPECT_LE(first.gradient, bound.first_step) << what << ": " << first.where;
      EXPECT_LE(first.loss, bound.first_step) << what;
      const ParityError all = testing::compare(trace, alone, static_cast<size_t>(run.num_steps));
      EXPECT_LE(all.gradient, bound.all_steps) << what << ": " << all.where;
      EXPECT_LE(all.loss, bound.all_steps) << what;
      EXPECT_LE(all.weight, bound.all_steps) << what << ": " << all.weight_where;
      worst = std::max(worst, all.gradient);
    }
    RecordProperty(bound.precision == Precision::kFp64 ? "worst_fp64" : "worst_fp32",
                   fmt::format("{:.2e}", worst));
  }
}

TEST_P(DataParallelParity, TheSameLayoutTwiceIsBitIdentical) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const ParityRun run{.model = model(), .precision = precision, .num_steps = 10, .micro_batch_size = 3};
    EXPECT_TRUE(testing::identical(testing::train_on_threads(2, run), testing::train_on_threads(2, run)));
  }
}

TEST_P(DataParallelParity, RecomputedLayersGiveTheSameBits) {
  for (const Precision precision : {Precision::kFp64, Precision::kFp32}) {
    ParityRun run{.model = model(), .precision = precision, .num_steps = 5, .micro_batch_size = 3};
    const ParityTrace kept = testing::train_on_threads(2, run);
    for (const RecomputeGranularity granularity :
         {RecomputeGranularity::kFull, RecomputeGranularity::kSelective}) {
      run.recompute = {granularity, 1};
      EXPECT_TRUE(testing::identical(testing::train_on_threads(2, run), kept));
    }
  }
}

// The ranks divide the norm by the slices of the buckets, so the order in which its float64 sum is added up,
// and no other number, depends on their size. A learning rate of 0 keeps that out of the next step.
TEST_P(DataParallelParity, TheSizeOfBucketsChangesNoGradient) {
  for (const int64_t zero_stage : {0, 1}) {
    ParityRun run{
        .model = model(), .precision = Precision::kFp32, .num_steps = 3, .micro_batch_size = 6, .lr = 0};
    run.parallel.zero_stage = zero_stage;
    const ParityTrace small = testing::train_on_threads(2, run);
    run.bucket_bytes = 1'000'000;
    ParityTrace large = testing::train_on_threads(2, run);
    for (size_t i = 0; i < large.steps.size(); ++i) {
      EXPECT_NEAR(large.steps[i].grad_norm, small.steps[i].grad_norm, 1e-15 * small.steps[i].grad_norm);
      large.steps[i].grad_norm = small.steps[i].grad_norm;
    }
    EXPECT_TRUE(testing::identical(large, small));
  }
}

TEST_P(DataParallelParity, ADividedOptimizerGivesTheBitsOfAWholeOne) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp64})
    for (const int num_ranks : {2, 3}) {
      ParityRun run{.model = model(), .precision = precision, .num_steps = 5, .micro_batch_size = 2};
      const ParityTrace whole = testing::train_on_threads(num_ranks, run);
      run.parallel.zero_stage = 1;
      EXPECT_TRUE(testing::identical(testing::train_on_threads(num_ranks, run), whole));
    }
}

INSTANTIATE_TEST_SUITE_P(Models, DataParallelParity, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Llama" : "Gpt2"; });

}  // namespace
}  // namespace trireme
