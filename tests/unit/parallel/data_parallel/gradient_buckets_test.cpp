#include "parallel/data_parallel/gradient_buckets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/elementwise.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/data_parallel/replicas.h"
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
  Parameter& operator[](size_t flat_index) { return *parameters.store().parameters()[flat_index]; }
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

int64_t num_reductions(const Communicator& group) {
  const auto found = group.counters().entries.find("all_reduce");
  return found == group.counters().entries.end() ? 0 : found->second.calls;
}

TEST(GradientBuckets, AreCutInFlatOrderAtWholeParameters) {
  run_thread_ranks(2, [](Communicator& world) {
    Context context;
    Four four(context);
    const GradientBuckets buckets(four.parameters.store(), world, 200);
    ASSERT_EQ(buckets.buckets().size(), 2u);
    EXPECT_EQ(buckets.buckets()[0].end, 32);
    EXPECT_EQ(buckets.buckets()[1].last_parameter, 3u);
    EXPECT_EQ(buckets.buckets()[1].end, four.parameters.store().num_elements());
  });
}

TEST(GradientBuckets, NothingIsCommunicatedBeforeTheLastMicroBatchAndThenTheReadyPrefix) {
  run_thread_ranks(2, [](Communicator& world) {
    Context context;
    Four four(context);
    GradientBuckets buckets(four.parameters.store(), world, 1);  // a bucket each
    four.parameters.store().begin_accumulation();
    for (size_t i = 0; i < 4; ++i) four.contribute(context, i, 1.0);
    EXPECT_EQ(num_reductions(world), 0);

    buckets.arm();
    four.contribute(context, 1, 10.0);
    EXPECT_EQ(num_reductions(world), 0) << "the prefix is not ready";
    four.contribute(context, 0, 10.0);
    EXPECT_EQ(num_reductions(world), 2);
    four.contribute(context, 3, 10.0);
    EXPECT_EQ(num_reductions(world), 2);
    four.contribute(context, 2, 10.0);
    EXPECT_EQ(num_reductions(world), 4);
    buckets.finish(context);
    EXPECT_EQ(buckets.num_overlapped(), 4);
    for (size_t i = 0; i < 4; ++i) EXPECT_EQ(four[i].gradient.data<double>()[15], 22.0);
  });
}

TEST(GradientBuckets, GradientsThatDoNotArriveAreZeroAndStillReduced) {
  run_thread_ranks(3, [](Communicator& world) {
    Context context;
    Four four(context);
    GradientBuckets buckets(four.parameters.store(), world, 1);
    for (int step = 0; step < 2; ++step) {
      four.parameters.store().begin_accumulation();
      buckets.arm();
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
      TestParameters parameters;
      parameters.add("a", {world.rank() == 0 ? 8 : 16});
      parameters.allocate(context);
      GradientBuckets buckets(parameters.store(), world, 100);
    });
    FAIL() << "accepted";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    EXPECT_THAT(error.what(),
                HasSubstr("the order and size of gradient buckets differ between rank 0 and rank 1"));
  }
}

TEST(Replicas, AFlippedBitIsNamedByParameterAndRank) {
  try {
    run_thread_ranks(3, [](Communicator& world) {
      Context context;
      Four four(context);
      check_replicas(four.parameters.store(), world);
      if (world.rank() == 2) reinterpret_cast<uint64_t*>(four[1].value.raw())[7] ^= 1;
      check_replicas(four.parameters.store(), world);
    });
    FAIL() << "accepted";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    EXPECT_THAT(error.what(), HasSubstr("parameter c is not the same on rank 0 and rank 2"));
  }
}

TEST(Replicas, TheLastNumberOfAMatrixWithPaddedRowsIsCompared) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Context context;
                                  TestParameters parameters;
                                  Parameter& wide = parameters.add("wide", {8, 128});
                                  parameters.allocate(context);
                                  ASSERT_GT(wide.value.row_stride(), 128);
                                  check_replicas(parameters.store(), world);
                                  if (world.rank() == 1) wide.value.row<double>(7)[127] += 1;
                                  check_replicas(parameters.store(), world);
                                }),
               CommError);
}

}  // namespace
}  // namespace trireme
