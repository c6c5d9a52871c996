#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "core/base/error.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/collective_suite.h"

namespace trireme {
namespace {

using comm::LocalCommunicator;
using comm::run_thread_ranks;
using ::testing::HasSubstr;
using namespace std::chrono_literals;

template <class Body>
std::string message_of(Body&& body, ExitCode expected) {
  try {
    body();
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), expected) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return "";
}

Tensor floats(Context& context, int64_t count) {
  return context.zeros({count}, DType::kFloat32, MemoryCategory::kWorkspace);
}

TEST(LocalCommunicator, CollectivesMatchPlainLoops) {
  LocalCommunicator group;
  Context context;
  testing::expect_collectives_match_loops(group, context, false);
  testing::expect_many_operations_keep_their_order(group, context, true);
  testing::expect_splits_work(group, context);
  testing::expect_counters_follow_their_definition(group, context);
}

TEST(SliceOfRank, CoversEveryElementOnceInPartsThatStartAtMultiplesOf64) {
  for (int64_t count = 0; count < 1000; count = count < 200 ? count + 1 : count + 61)
    for (int size = 1; size <= 9; ++size) {
      int64_t end = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Slice slice = slice_of_rank(count, rank, size);
        ASSERT_EQ(slice.begin, end);
        ASSERT_TRUE(slice.begin % 64 == 0 || slice.length() == 0);
        ASSERT_LE(slice.length(), slice_of_rank(count, 0, size).length());
        end = slice.end;
      }
      ASSERT_EQ(end, count);
      ASSERT_LT(slice_of_rank(count, 0, size).length(), count / size + 65) << "the parts are equal";
    }
}

class ThreadRanks : public ::testing::TestWithParam<int> {};

TEST_P(ThreadRanks, CollectivesMatchPlainLoops) {
  run_thread_ranks(GetParam(), [](Communicator& world) {
    Context context;
    testing::expect_collectives_match_loops(world, context, false);
  });
}

TEST_P(ThreadRanks, ManyOperationsInFlightKeepTheirOrder) {
  run_thread_ranks(GetParam(), [](Communicator& world) {
    Context context;
    testing::expect_many_operations_keep_their_order(world, context, false);
  });
}

TEST_P(ThreadRanks, MessagesReachTheirTags) {
  run_thread_ranks(GetParam(), [](Communicator& world) {
    Context context;
    testing::expect_messages_reach_their_tags(world, context);
  });
}

TEST_P(ThreadRanks, MessagesOfOneTagKeepTheirOrder) {
  run_thread_ranks(GetParam(), [](Communicator& world) {
    Context context;
    testing::expect_messages_of_one_tag_keep_their_order(world, context);
  });
}

TEST_P(ThreadRanks, SplitsWorkAndGroupsDoNotBlockEachOther) {
  run_thread_ranks(GetParam(), [](Communicator& world) {
    Context context;
    testing::expect_splits_work(world, context);
  });
}

TEST_P(ThreadRanks, CountersFollowTheirDefinition) {
  run_thread_ranks(GetParam(), [](Communicator& world) {
    Context context;
    testing::expect_counters_follow_their_definition(world, context);
  });
}

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadRanks, ::testing::Values(1, 2, 3, 4, 5));

TEST(ThreadCommunicator, ARankThatNeverArrivesIsNamedAtTheDeadline) {
  const auto start = std::chrono::steady_clock::now();
  const std::string message = message_of(
      [] {
        run_thread_ranks(3, [](Communicator& world) {
          Context context;
          world.set_deadline(200ms);
          world.set_step(17);
          if (world.rank() == 1) return;
          world.all_reduce(floats(context, 10), ReduceOp::kSum);
        });
      },
      ExitCode::kWatchdog);
  EXPECT_THAT(message, HasSubstr("of 3 in group 'world'"));
  EXPECT_THAT(message, HasSubstr("step 17"));
  EXPECT_THAT(message, HasSubstr("all_reduce of 10 float32"));
  EXPECT_THAT(message, HasSubstr("rank 1 of the group has not arrived"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, 5s);
}

TEST(ThreadCommunicator, AMessageThatNobodySendsIsNamedAtTheDeadline) {
  const std::string message = message_of(
      [] {
        run_thread_ranks(2, [](Communicator& world) {
          Context context;
          world.set_deadline(100ms);
          if (world.rank() == 0) world.receive(floats(context, 4), 1, 9);
        });
      },
      ExitCode::kWatchdog);
  EXPECT_THAT(message, HasSubstr("receive of 4 float32 from rank 1, tag 9"));
}

TEST(ThreadCommunicator, TheFirstExceptionEndsEveryRank) {
  std::atomic<int> told{0};
  const std::string message = message_of(
      [&] {
        run_thread_ranks(4, [&](Communicator& world) {
          Context context;
          if (world.rank() == 2) {
            std::this_thread::sleep_for(50ms);
            throw DataError("bad token in file x");
          }
          try {
            world.all_reduce(floats(context, 3), ReduceOp::kSum);
          } catch (const CommError& error) {
            EXPECT_THAT(error.what(), HasSubstr("rank 2 failed: bad token in file x"));
            ++told;
            throw;
          }
        });
      },
      ExitCode::kBadData);
  EXPECT_EQ(message, "bad token in file x");
  EXPECT_EQ(told, 3);
}

TEST(ThreadCommunicator, AbortEndsTheWaitsOfTheOthers) {
  const std::string message = message_of(
      [] {
        run_thread_ranks(3, [](Communicator& world) {
          if (world.rank() == 0) {
            world.abort("the disk is full", 74);
          } else {
            world.barrier();
          }
        });
      },
      ExitCode::kInputOutput);
  EXPECT_THAT(message, HasSubstr("rank 0 gave up: the disk is full"));
}

TEST(ThreadCommunicator, DifferentCallsAreNamed) {
  const std::string message = message_of(
      [] {
        run_thread_ranks(2, [](Communicator& world) {
          Context context;
          if (world.rank() == 0) world.all_reduce(floats(context, 3), ReduceOp::kSum);
          if (world.rank() == 1) world.all_reduce(floats(context, 4), ReduceOp::kSum);
        });
      },
      ExitCode::kRanksDisagree);
  EXPECT_THAT(message, HasSubstr("every rank of a group must make the same calls"));
}

TEST(ThreadCommunicator, AWorkDroppedDuringAnExceptionDoesNotHang) {
  EXPECT_THROW(run_thread_ranks(2,
                                [](Communicator& world) {
                                  Context context;
                                  auto work = world.all_reduce_async(floats(context, 1000), ReduceOp::kSum);
                                  if (world.rank() == 0) throw DataError("stop");
                                  world.barrier();
                                }),
               DataError);
}

TEST(ThreadCommunicator, WrongArgumentsAreRefusedWithTheArithmetic) {
  LocalCommunicator group;
  Context context;
  EXPECT_THAT(
      message_of([&] { group.all_gather(floats(context, 3), floats(context, 4)); }, ExitCode::kDevice),
      HasSubstr("the output has 4 elements, 3 are needed for 1 ranks"));
  EXPECT_THAT(message_of([&] { group.split(-2, 0, "stage"); }, ExitCode::kDevice),
              HasSubstr("split into 'stage' with color -2; colors are >= 0, or -1"));
  EXPECT_THAT(message_of([&] { group.send(floats(context, 3), 0, 0); }, ExitCode::kDevice),
              HasSubstr("the other rank must be in"));
  EXPECT_THAT(message_of(
                  [&] {
                    group.all_reduce(context.activation({4, 1024}, DType::kFloat32), ReduceOp::kSum);
                  },
                  ExitCode::kDevice),
              HasSubstr("contiguous"));
}

}  // namespace
}  // namespace trireme
