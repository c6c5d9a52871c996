#include "parallel/checkpoint/shared_reading.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <sstream>

#include "parallel/checkpoint/checkpoint_store.h"
#include "parallel/checkpoint/initial_weights.h"
#include "parallel/checkpoint/logical_tensors.h"
#include "parallel/checkpoint/restore_step.h"
#include "parallel/comm/thread_communicator.h"
#include "tests/support/checkpoint_run.h"
#include "tests/support/run_program.h"

namespace trireme::checkpoint {
namespace {

using testing::CheckpointRun;

TEST(SharedReading, ReplicasReadEveryByteOnceTogetherAndHoldAll) {
  constexpr int kRanks = 3;
  constexpr int64_t kFfn = 20000;  // boxes larger than the gaps that are read along
  const testing::TemporaryFolder folder;
  const std::string expected = CheckpointRun(Precision::kBf16, 1, 7, kFfn).content();
  std::vector<int64_t> num_bytes(kRanks);
  comm::run_thread_ranks(kRanks, [&](Communicator& world) {
    CheckpointRun run(Precision::kBf16, 1, 7, kFfn), other(Precision::kBf16, 9, 7, kFfn);
    CheckpointStore(folder.path(), world, {}, "run")
        .save(run.context, run.state, *run.store, run.optimizer->state());
    const std::vector<HeldTensor> targets = held_tensors(*other.store, other.optimizer->state());
    const SavePlan plan = plan_save(gather_boxes(world, boxes_of(targets)), {});
    CheckpointConfig config;
    config.restore_buffer_bytes = 1 << 20;  // several messages a box
    const RestoreResult result =
        restore_step(world, folder.path() / "step-00000012", run.state, config, plan, targets);
    EXPECT_EQ(result.damage, "");
    EXPECT_TRUE(other.content() == expected) << "rank " << world.rank();
    num_bytes[static_cast<size_t>(world.rank())] = result.num_bytes_read;
  });
  const int64_t total = num_bytes[0] + num_bytes[1] + num_bytes[2];
  const auto content = static_cast<double>(expected.size());
  EXPECT_GE(static_cast<double>(total), 0.9 * content);
  EXPECT_LE(static_cast<double>(total), 1.1 * content);
  for (const int64_t bytes : num_bytes) EXPECT_LE(static_cast<double>(bytes), 0.5 * content);
}

/// Bytes that this process has read from files.
int64_t bytes_read() {
  std::istringstream text(testing::read_file("/proc/self/io"));
  std::string name;
  int64_t number = 0;
  text >> name >> number;
  return number;
}

TEST(SharedReading, RanksThatBeginWithTheSameWeightsReadEveryByteOnceTogetherAndConvertIt) {
  constexpr int64_t kFfn = 20000;
  for (const Precision precision : {Precision::kBf16, Precision::kFp32}) {  // of a step in bf16
    const testing::TemporaryFolder folder;
    int64_t before = 0;
    comm::run_thread_ranks(3, [&](Communicator& world) {
      CheckpointRun saved(Precision::kBf16, 1, 7, kFfn), run(precision, 9, 7, kFfn);
      CheckpointStore(folder.path(), world, {}, "run")
          .save(saved.context, saved.state, *saved.store, saved.optimizer->state());
      const Tensor& masters = saved.store->masters();
      world.barrier();
      if (world.rank() == 0) before = bytes_read();
      world.barrier();
      const InitialWeights weights{folder.path() / "step-00000012", {}, 1 << 24};
      initialize_weights(run.context, world, weights, saved.state, *run.store);
      world.barrier();
      // Rows are padded as their types need.
      const Tensor& given = run.store->has_masters() ? run.store->masters() : run.store->values();
      for (size_t i = 0; i < run.parameters.size(); ++i) {
        const Tensor a = run.store->view(given, i), b = saved.store->view(masters, i);
        for (int64_t row = 0; row < a.rows(); ++row)
          ASSERT_EQ(std::memcmp(a.row<float>(row), b.row<float>(row), static_cast<size_t>(a.cols()) * 4), 0)
              << run.parameters[i]->name << " row " << row;
      }
      if (world.rank() != 0) return;
      const int64_t held =
          masters.num_bytes() + (run.store->has_masters() ? run.store->values().num_bytes() : 0);
      // Without sharing it would be 3 times as much. A block in which two ranks have parts is read by both.
      EXPECT_LE(static_cast<double>(bytes_read() - before), 2.0 * static_cast<double>(held));
    });
  }
}

TEST(BoxesThatAreCut, CoverTheBoxOnceInOrderAndAreNoLargerThanAsked) {
  const uint64_t seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  const auto draw = [&](int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  };
  for (int i = 0; i < 500; ++i) {
    Box box;
    for (int64_t dim = draw(1, 4); dim > 0; --dim) {
      box.offset.push_back(draw(0, 3));
      box.extent.push_back(draw(1, 7));
    }
    const int64_t most = draw(1, 60);
    std::vector<Box> parts = cut(box, most);
    for (size_t j = 0; j < parts.size(); ++j) {
      EXPECT_LE(parts[j].num_elements(), most) << to_string(box);
      EXPECT_TRUE(j == 0 || parts[j - 1].offset < parts[j].offset);
    }
    for (Box& part : parts)
      for (size_t dim = 0; dim < box.offset.size(); ++dim) part.offset[dim] -= box.offset[dim];
    EXPECT_EQ(coverage_error(box.extent, parts), "") << to_string(box) << " in parts of " << most;
  }
}

}  // namespace
}  // namespace trireme::checkpoint
