#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/parity.h"

namespace trireme {
namespace {

using verify::Trace;
using verify::VerifyCase;

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

/// float64: the project promises 1e-10 and 1e-9; what was measured is 1e-15 and 6e-15. float32: measured 5e-7
/// for one step, 3e-6 over 50.
struct Bound {
  Precision precision;
  double first_step;
  double all_steps;
};
constexpr Bound kBounds[] = {{Precision::kFp64, 1e-13, 1e-12}, {Precision::kFp32, 5e-6, 3e-5}};

class DataParallelParity : public ::testing::TestWithParam<bool> {
 protected:
  /// On two ranks, in micro-batches of 3.
  VerifyCase run(Precision precision, int64_t num_steps) const {
    VerifyCase run =
        testing::parity_run(GetParam() ? testing::parity_llama() : testing::parity_gpt2(), precision);
    run.num_steps = num_steps;
    run.num_ranks = 2;
    run.rank.micro_batch_size = 3;
    return run;
  }
};

TEST_P(DataParallelParity, EveryDivisionGivesTheGradientsAndLossesOfOneRank) {
  for (const Bound& bound : kBounds) {
    VerifyCase run = this->run(bound.precision, 50);
    const Trace alone = verify::run_on_threads(verify::on_one_rank(run));
    EXPECT_LT(alone.steps.back().loss, 0.9 * alone.steps.front().loss) << "the model should learn";
    double worst = 0;
    for (const Layout& layout : all_layouts()) {
      run.num_ranks = layout.ranks;
      run.rank.micro_batch_size = layout.micro_batch_size;
      const Trace trace = verify::run_on_threads(run);
      const std::string what = fmt::format("{}, {} ranks, micro-batches of {}", name_of(bound.precision),
                                           layout.ranks, layout.micro_batch_size);
      testing::expect_within(verify::compare(trace, alone, 1), bound.first_step, what);
      const verify::Difference all = verify::compare(trace, alone);
      testing::expect_within(all, bound.all_steps, what);
      worst = std::max(worst, all.worst_gradient().gradient);
    }
    RecordProperty(fmt::format("worst_{}", name_of(bound.precision)), fmt::format("{:.2e}", worst));
  }
}

TEST_P(DataParallelParity, TheSameLayoutTwiceIsBitIdentical) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const VerifyCase run = this->run(precision, 10);
    EXPECT_EQ(verify::run_on_threads(run), verify::run_on_threads(run));
  }
}

TEST_P(DataParallelParity, RecomputedLayersGiveTheSameBits) {
  for (const Precision precision : {Precision::kFp64, Precision::kFp32}) {
    VerifyCase run = this->run(precision, 5);
    const Trace kept = verify::run_on_threads(run);
    for (const auto granularity : {RecomputeGranularity::kSelective, RecomputeGranularity::kFull}) {
      run.rank.step.recompute.granularity = granularity;
      EXPECT_EQ(verify::run_on_threads(run), kept);
    }
  }
}

// The ranks divide the norm by the slices of the buckets, so the order in which its float64 sum is added up,
// and no other number, depends on their size. A learning rate of 0 keeps that out of the next step.
TEST_P(DataParallelParity, TheSizeOfBucketsChangesNoGradient) {
  for (const int64_t zero_stage : {0, 1}) {
    VerifyCase run = this->run(Precision::kFp32, 3);
    run.lr = 0;
    run.rank.parallel.zero_stage = zero_stage;
    const Trace small = verify::run_on_threads(run);
    run.rank.parallel.bucket_size_mb = 1;
    Trace large = verify::run_on_threads(run);
    for (size_t i = 0; i < large.steps.size(); ++i) {
      EXPECT_NEAR(large.steps[i].grad_norm, small.steps[i].grad_norm, 1e-15 * small.steps[i].grad_norm);
      large.steps[i].grad_norm = small.steps[i].grad_norm;
    }
    EXPECT_EQ(large, small);
  }
}

TEST_P(DataParallelParity, ADividedOptimizerGivesTheBitsOfAWholeOne) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp64}) {
    for (const int num_ranks : {2, 4}) {
      VerifyCase run = this->run(precision, 5);
      run.num_ranks = num_ranks;
      const Trace whole = verify::run_on_threads(run);
      run.rank.parallel.zero_stage = 1;
      EXPECT_EQ(verify::run_on_threads(run), whole);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DataParallelParity, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Llama" : "Gpt2"; });

}  // namespace
}  // namespace trireme
