#include <gtest/gtest.h>
#include <mpi.h>

#include "core/base/error.h"
#include "tests/mpi/mpi_main.h"
#include "tests/support/collective_suite.h"

namespace trireme {
namespace {

using testing::mpi;
using namespace std::chrono_literals;

/// With tensors in shared memory, and with messages as between hosts.
class MpiCommunicator : public ::testing::TestWithParam<bool> {
 protected:
  MpiCommunicator() : world_(mpi().world({.shared_memory = GetParam()})) { world_->set_deadline(60s); }
  std::unique_ptr<Communicator> world_;
  Context context_;
};

TEST_P(MpiCommunicator, CollectivesOnOrdinaryMemoryMatchPlainLoops) {
  testing::expect_collectives_match_loops(*world_, context_, false);
}

TEST_P(MpiCommunicator, CollectivesOnAllocatedMemoryMatchPlainLoops) {
  testing::expect_collectives_match_loops(*world_, context_, true);
}

TEST_P(MpiCommunicator, ManyOperationsInFlightKeepTheirOrder) {
  testing::expect_many_operations_keep_their_order(*world_, context_, false);
  testing::expect_many_operations_keep_their_order(*world_, context_, true);
}

TEST_P(MpiCommunicator, MessagesReachTheirTags) {
  testing::expect_messages_reach_their_tags(*world_, context_);
}

TEST_P(MpiCommunicator, MessagesOfOneTagKeepTheirOrder) {
  testing::expect_messages_of_one_tag_keep_their_order(*world_, context_);
}

TEST_P(MpiCommunicator, SplitsWorkAndGroupsDoNotBlockEachOther) {
  testing::expect_splits_work(*world_, context_);
}

TEST_P(MpiCommunicator, CountersFollowTheirDefinition) {
  testing::expect_counters_follow_their_definition(*world_, context_);
}

TEST_P(MpiCommunicator, SumsAgreeWithMpiAllreduce) {
  constexpr int64_t kCount = 300'001;
  for (const bool allocated : {false, true}) {
    Tensor ours = allocated
                      ? Tensor::view_of(world_->allocate(context_, kCount * 8, MemoryCategory::kGradients), 0,
                                        {kCount}, DType::kFloat64)
                      : context_.workspace({kCount}, DType::kFloat64);
    std::vector<double> theirs(kCount);
    for (int64_t i = 0; i < kCount; ++i)
      theirs[static_cast<size_t>(i)] = ours.data<double>()[i] =
          static_cast<double>((i * 7919 + mpi().rank() * 104729) % 1'000'003);  // sums are exact
    MPI_Allreduce(MPI_IN_PLACE, theirs.data(), kCount, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    world_->all_reduce(ours, ReduceOp::kSum);
    EXPECT_EQ(std::vector<double>(ours.data<double>(), ours.data<double>() + kCount), theirs);
  }
}

TEST_P(MpiCommunicator, AllocatedMemoryIsZeroedAndCounted) {
  const std::shared_ptr<Storage> storage = world_->allocate(context_, 10'000, MemoryCategory::kGradients);
  for (int64_t i = 0; i < 10'000; ++i) ASSERT_EQ(storage->data()[i], std::byte{0});
  EXPECT_GE(context_.allocator.ledger().current[static_cast<size_t>(MemoryCategory::kGradients)], 10'000);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(storage->data()) % 64, 0u);
}

TEST_P(MpiCommunicator, AMessageOfAnotherLengthIsRefused) {
  if (world_->size() < 2) GTEST_SKIP() << "needs two ranks";
  const auto make = [&](int64_t count) {
    return context_.zeros({count}, DType::kInt32, MemoryCategory::kWorkspace);
  };
  if (world_->rank() == 0) world_->send(make(3), 1, 0);
  if (world_->rank() == 1) {
    EXPECT_THROW(world_->receive(make(4), 0, 0), CommError);
  }
}

INSTANTIATE_TEST_SUITE_P(Transports, MpiCommunicator, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "SharedMemory" : "Messages"; });

TEST(MpiRuntime, KnowsThatMpirunStartedIt) {
  EXPECT_TRUE(comm::MpiRuntime::launched());
}

}  // namespace
}  // namespace trireme
