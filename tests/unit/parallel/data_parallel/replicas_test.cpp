#include "parallel/data_parallel/replicas.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/test_parameters.h"

namespace trireme {
namespace {

using comm::run_thread_ranks;
using ::testing::HasSubstr;
using testing::TestParameters;

TEST(Replicas, AFlippedBitIsNamedByParameterAndRankOnEveryRank) {
  std::atomic<int> num_thrown = 0;
  run_thread_ranks(3, [&](Communicator& world) {
    Context context;
    Mesh mesh(world, ParallelConfig{});
    TestParameters parameters;
    for (const char* name : {"a", "b", "c", "d"}) parameters.add(name, {16});
    parameters.allocate(context);
    check_replicas(parameters.store(), mesh);
    if (world.rank() == 2) reinterpret_cast<uint64_t*>(parameters.all()[2]->value.raw())[7] ^= 1;
    try {
      check_replicas(parameters.store(), mesh);
    } catch (const CommError& error) {
      ++num_thrown;
      EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
      EXPECT_THAT(error.what(), HasSubstr("parameter c is not the same on rank 0 and rank 2"));
    }
  });
  EXPECT_EQ(num_thrown, 3);
}

TEST(Replicas, MasterWeightsAreComparedToo) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Context context;
                                  Mesh mesh(world, ParallelConfig{});
                                  TestParameters parameters(Precision::kBf16);
                                  Parameter& a = parameters.add("a", {16});
                                  parameters.allocate(context);
                                  check_replicas(parameters.store(), mesh);
                                  if (world.rank() == 1) a.master.data<float>()[15] += 1e-6f;
                                  check_replicas(parameters.store(), mesh);
                                }),
               CommError);
}

TEST(Replicas, BuffersAreComparedToo) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Context context;
                                  Mesh mesh(world, ParallelConfig{});
                                  TestParameters parameters;
                                  parameters.add("a", {16});
                                  parameters.allocate(context);
                                  Buffer mean{"mean", {3}};
                                  parameters.store().hold(context, {&mean});
                                  check_replicas(parameters.store(), mesh);
                                  if (world.rank() == 1) mean.value.data<double>()[2] = 1e-9;
                                  check_replicas(parameters.store(), mesh);
                                }),
               CommError);
}

TEST(Replicas, TheLastNumberOfAMatrixWithPaddedRowsIsCompared) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Context context;
                                  Mesh mesh(world, ParallelConfig{});
                                  TestParameters parameters;
                                  Parameter& wide = parameters.add("wide", {8, 128});
                                  parameters.allocate(context);
                                  ASSERT_GT(wide.value.row_stride(), 128);
                                  check_replicas(parameters.store(), mesh);
                                  if (world.rank() == 1) wide.value.row<double>(7)[127] += 1;
                                  check_replicas(parameters.store(), mesh);
                                }),
               CommError);
}

}  // namespace
}  // namespace trireme
