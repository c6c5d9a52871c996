#include "parallel/data_parallel/gradient_buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/test_parameters.h"

namespace trireme {
namespace {

using comm::run_thread_ranks;
using ::testing::HasSubstr;
using testing::TestParameters;

/// Four parameters of 16 numbers each, 128 bytes in float64; flat order is d, c, b, a.
struct Four {
  explicit Four(Context& context) {
    for (const char* name : {"a", "b", "c", "d"}) parameters.add(name, {16});
    parameters.allocate(context);
  }
  ParameterStore& store() { return parameters.store(); }
  Parameter& operator[](size_t flat_index) { return *store().parameters()[flat_index]; }
  void contribute(Context& context, size_t flat_index, double value) {
    Parameter& parameter = (*this)[flat_index];
    parameter.expect();
    parameter.contribute([&](Tensor& gradient, bool accumulate) {
      Tensor addend = context.workspace(gradient.shape(), gradient.dtype());
      ops::fill(context, addend, value);
      if (accumulate) {
        ops::add(context, gradient, addend, gradient);
      } else {
        ops::cast(context, addend, gradient);
      }
    });
  }
  TestParameters parameters;
};

int64_t num_reductions(Mesh& mesh) {
  const auto& entries = mesh.data().counters().entries;
  const auto found = entries.find("all_reduce");
  return found == entries.end() ? 0 : found->second.calls;
}

/// What every test starts from.
struct Rank {
  Rank(Communicator& world, int64_t bucket_bytes)
      : mesh(world, ParallelConfig{}),
        four(context),
        buckets(four.store(), mesh, plan_buckets(four.store().layout(), bucket_bytes), 0) {}
  Context context;
  Mesh mesh;
  Four four;
  GradientBuckets buckets;
};

TEST(GradientBuckets, AreCutInFlatOrderAtWholeParameters) {
  Context context;
  Four four(context);
  EXPECT_EQ(plan_buckets(four.store().layout(), 200), (std::vector<FlatRange>{{0, 32}, {32, 64}}));
  EXPECT_EQ(plan_buckets(four.store().layout(), 1).size(), 4u);
  EXPECT_EQ(plan_buckets(four.store().layout(), 1 << 20), (std::vector<FlatRange>{{0, 64}}));
}

TEST(GradientBuckets, NeverMixWholeAndPartialGradients) {
  std::vector<Parameter> owned;
  for (const char* name : {"a", "b", "c"})
    owned.push_back(nn::whole_parameter(name, {16}, nn::zeros(), true));
  owned[1].pieces[0].placement[0] = {Placement::Kind::kReplicatedPartial};
  const ParameterLayout layout({&owned[0], &owned[1], &owned[2]}, {});
  EXPECT_EQ(plan_buckets(layout, 1 << 20), (std::vector<FlatRange>{{0, 32}, {32, 48}}));
}

TEST(GradientBuckets, GiveEachDataRankItsSliceOfEachBucket) {
  const std::vector<FlatRange> buckets = {{0, 100}, {100, 400}};
  EXPECT_EQ(owned_ranges(buckets, 1, 3, 0), (std::vector<FlatRange>{{0, 400}}));
  EXPECT_EQ(owned_ranges(buckets, 0, 1, 1), (std::vector<FlatRange>{{0, 400}}));
  EXPECT_EQ(owned_ranges(buckets, 0, 3, 1), (std::vector<FlatRange>{{0, 64}, {100, 228}}));
  EXPECT_EQ(owned_ranges(buckets, 1, 3, 1), (std::vector<FlatRange>{{64, 100}, {228, 356}}));
  EXPECT_EQ(owned_ranges(buckets, 2, 3, 1), (std::vector<FlatRange>{{356, 400}}));
}

TEST(GradientBuckets, NothingIsCommunicatedBeforeTheLastMicroBatchAndThenTheReadyPrefix) {
  run_thread_ranks(2, [](Communicator& world) {
    Rank rank(world, 1);  // a bucket each
    auto& [context, mesh, four, buckets] = rank;
    buckets.begin();
    for (size_t i = 0; i < 4; ++i) four.contribute(context, i, 1.0);
    EXPECT_EQ(num_reductions(mesh), 0);

    for (const Parameter* parameter : four.store().parameters()) const_cast<Parameter*>(parameter)->expect();
    buckets.arm(four.store().parameters());
    const auto arrive = [&](size_t i) {
      four.contribute(context, i, 10.0);
      four[i].release();
    };
    arrive(1);
    EXPECT_EQ(num_reductions(mesh), 0) << "the prefix is not ready";
    arrive(0);
    EXPECT_EQ(num_reductions(mesh), 2);
    arrive(3);
    EXPECT_EQ(num_reductions(mesh), 2);
    arrive(2);
    EXPECT_EQ(num_reductions(mesh), 4);
    buckets.finish(context);
    EXPECT_EQ(buckets.num_overlapped(), 4);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(four[i].gradient.data<double>()[15], 22.0);
  });
}

TEST(GradientBuckets, AreArmedChunkByChunkWhileOtherChunksStillAccumulate) {
  run_thread_ranks(2, [](Communicator& world) {
    Rank rank(world, 1);
    auto& [context, mesh, four, buckets] = rank;
    for (int step = 1; step <= 2; ++step) {
      const int64_t before = num_reductions(mesh);
      buckets.begin();
      for (size_t i = 0; i < 4; ++i) four.contribute(context, i, 1.0);
      // The later chunk holds d and c. The gradient of d came with the backward of the inputs already; that
      // of c is still to come.
      four.contribute(context, 0, 1.0);
      four[1].expect();
      buckets.arm({&four[1], &four[0]});
      EXPECT_EQ(num_reductions(mesh) - before, 1) << "d waits for nothing";
      four.contribute(context, 2, 1.0);  // b, of the chunk that is not armed
      four.contribute(context, 1, 1.0);
      four[1].release();
      EXPECT_EQ(num_reductions(mesh) - before, 2);
      four.contribute(context, 2, 1.0);
      four.contribute(context, 3, 1.0);
      EXPECT_EQ(num_reductions(mesh) - before, 2) << "more may come";
      buckets.arm({&four[2], &four[3]});
      EXPECT_EQ(num_reductions(mesh) - before, 4);
      buckets.finish(context);
      EXPECT_EQ(buckets.num_overlapped(), 4);
      const double sums[] = {4, 4, 6, 4};
      for (size_t i = 0; i < 4; ++i) EXPECT_EQ(four[i].gradient.data<double>()[0], sums[i]) << i;
    }
  });
}

TEST(GradientBuckets, GradientsThatDoNotArriveAreZeroAndStillReduced) {
  run_thread_ranks(3, [](Communicator& world) {
    Rank rank(world, 1);
    auto& [context, mesh, four, buckets] = rank;
    for (int step = 0; step < 2; ++step) {
      buckets.begin();
      buckets.arm(four.store().parameters());
      // Each rank lacks another parameter.
      for (size_t i = 0; i < 4; ++i)
        if (static_cast<int>(i) != world.rank()) four.contribute(context, i, 1.0);
      buckets.finish(context);
      for (size_t i = 0; i < 4; ++i)
        EXPECT_EQ(four[i].gradient.data<double>()[0], i < 3 ? 2.0 : 3.0) << "parameter " << i;
    }
  });
}

TEST(GradientBuckets, RanksWithDifferentParametersAreRefused) {
  try {
    run_thread_ranks(2, [](Communicator& world) {
      Context context;
      Mesh mesh(world, ParallelConfig{});
      TestParameters parameters;
      parameters.add("a", {world.rank() == 0 ? 8 : 16});
      parameters.allocate(context);
      GradientBuckets buckets(parameters.store(), mesh, plan_buckets(parameters.store().layout(), 100), 0);
    });
    FAIL() << "accepted";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    EXPECT_THAT(error.what(),
                HasSubstr("the order and size of gradient buckets differ between rank 0 and rank 1"));
  }
}

}  // namespace
}  // namespace trireme
