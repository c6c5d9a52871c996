#include <fmt/format.h>
#include <gtest/gtest.h>

#include "parallel/comm/local_communicator.h"
#include "parallel/verify/difference.h"
#include "tests/mpi/mpi_main.h"
#include "tests/support/random_layout.h"

namespace trireme {
namespace {

using verify::Trace;
using verify::VerifyCase;

constexpr int kRanks = 8;

/// In the words of the property test, on 8 ranks: the three axes alone and together, with each schedule,
/// ZeRO, sequence parallelism, tied and untied heads, copied key heads, uneven vocabularies and stages.
constexpr const char* kLayouts[] = {
    "data=7 zero=1 micro_batches=1 width=1 vocabulary=2",
    "tensor=3 data=1 sequence=1 llama=1 groups=3 vocabulary=1 micro_batches=1 dropout=3",
    "tensor=1 data=3 zero=1 sequence=1 vocabulary=2 recompute=2 buckets=2",
    "pipeline=3 data=1 micro_batches=5 layers=1 vocabulary=3 dropout=1",
    "pipeline=3 data=1 schedule=2 micro_batches=4 llama=1 untied=1",
    "pipeline=1 data=3 chunks=1 micro_batches=3 zero=1 layers=1",
    "pipeline=1 data=3 schedule=1 micro_batches=1 order=4 packed=1",
    "tensor=1 pipeline=1 data=1 sequence=1 zero=1 micro_batches=3 vocabulary=2 dropout=3 buckets=2",
    "tensor=1 pipeline=1 data=1 llama=1 groups=3 vocabulary=1 schedule=2 zero=1 micro_batches=2 buckets=1",
    "tensor=1 pipeline=3 sequence=1 layers=1 recompute=1 micro_batches=4 packed=1 dropout=2",
    "tensor=3 pipeline=1 chunks=1 llama=1 untied=1 groups=2 sequence=1 vocabulary=3 micro_batches=2",
    "pipeline=3 data=1 family=3 heads=1 feed_forward=1 groups=1 layers=1 vocabulary=1 micro_batches=3 "
    "dropout=1",
    "tensor=1 pipeline=1 data=1 layout=17 order=5 llama=1 vocabulary=1 micro_batches=1 recompute=2",
};

class MpiLayouts : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (testing::mpi().size() != kRanks)
      GTEST_SKIP() << "runs on " << kRanks << " processes: Mpi.LayoutsOfEightRanksGiveTheLossesOfOne";
  }

  /// Twenty steps, fp32.
  VerifyCase layout() const {
    VerifyCase layout = testing::make_case(testing::parse_layout(GetParam()));
    layout.num_steps = 20;
    return layout;
  }
};

TEST_P(MpiLayouts, GiveTheLossesOfOneRankForTwentySteps) {
  const auto world = testing::mpi().world();
  for (const Precision precision : {Precision::kFp64, Precision::kFp32}) {
    const VerifyCase run = verify::in_precision(layout(), precision);
    ASSERT_EQ(run.num_ranks, kRanks);
    const Trace trace = verify::run_case(run, *world);
    if (world->rank() != 0) continue;
    comm::LocalCommunicator alone;
    const Trace reference = verify::run_case(verify::on_one_rank(run), alone);
    for (const std::string& problem : trace.problems) ADD_FAILURE() << problem;
    const verify::Difference difference = verify::compare(trace, reference);
    EXPECT_LE(difference.loss, precision == Precision::kFp64 ? 1e-10 : 1e-5) << name_of(precision);
    RecordProperty(fmt::format("loss_{}", name_of(precision)), fmt::format("{:.1e}", difference.loss));
  }
}

TEST_P(MpiLayouts, GiveTheSameBitsTwice) {
  const auto world = testing::mpi().world();
  VerifyCase run = layout();
  run.num_steps = 5;
  EXPECT_EQ(verify::run_case(run, *world), verify::run_case(run, *world));
}

INSTANTIATE_TEST_SUITE_P(Eight, MpiLayouts, ::testing::ValuesIn(kLayouts));

}  // namespace
}  // namespace trireme
