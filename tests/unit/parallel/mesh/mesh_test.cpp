#include "parallel/mesh/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "parallel/comm/thread_communicator.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::StrEq;

std::string refusal(const ParallelConfig& config, int world_size) {
  try {
    MeshShape::make(config, world_size);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Mesh, RanksAreNumberedFromTheFirstAxis) {
  MeshShape shape;
  shape.sizes = {2, 1, 1, 3, 4};
  EXPECT_EQ(shape.num_ranks(), 24);
  EXPECT_EQ(shape.coordinates(0), (std::array<int, kNumAxes>{0, 0, 0, 0, 0}));
  EXPECT_EQ(shape.coordinates(1), (std::array<int, kNumAxes>{1, 0, 0, 0, 0}));
  EXPECT_EQ(shape.coordinates(2), (std::array<int, kNumAxes>{0, 0, 0, 1, 0}));
  EXPECT_EQ(shape.coordinates(23), (std::array<int, kNumAxes>{1, 0, 0, 2, 3}));
}

TEST(Mesh, ALayoutThatDoesNotDivideIsRefusedWithTheArithmetic) {
  ParallelConfig config;
  config.tensor_model_parallel_size = 2;
  config.pipeline_model_parallel_size = 3;
  EXPECT_THAT(refusal(config, 16),
              HasSubstr("2 (tensor) x 1 (context) x 1 (expert) x 3 (pipeline) = 6 ranks a "
                        "replica, which does not divide 16 ranks (16 = 2 x 6 + 4); start "
                        "12 or 18 ranks, or change the sizes"));
  EXPECT_THAT(refusal(config, 4), HasSubstr("start 6 ranks"));
}

TEST(Mesh, AxesThatDoNotExistYetAreRefused) {
  ParallelConfig config;
  config.context_parallel_size = 2;
  EXPECT_THAT(refusal(config, 4),
              StrEq("parallel.context_parallel_size = 2 is not available in this version; set it to 1"));
  config.tensor_model_parallel_size = 0;
  EXPECT_THAT(refusal(config, 4), HasSubstr("must be at least 1"));
}

TEST(Mesh, TheRankOrderIsAPermutationOfTheAxes) {
  ParallelConfig config;
  config.tensor_model_parallel_size = 2;
  config.pipeline_model_parallel_size = 2;
  config.rank_order = "pp-dp-cp-ep-tp";
  const MeshShape shape = MeshShape::make(config, 8);
  EXPECT_EQ(shape.coordinates(1), (std::array<int, kNumAxes>{0, 0, 0, 0, 1}));
  EXPECT_EQ(shape.coordinates(2), (std::array<int, kNumAxes>{0, 0, 0, 1, 0}));
  EXPECT_EQ(shape.coordinates(4), (std::array<int, kNumAxes>{1, 0, 0, 0, 0}));
  for (const char* wrong : {"", "tp-cp-ep-dp", "tp-cp-ep-dp-dp", "tp-cp-ep-dp-pp-", "tp-cp-ep-dp-xx"}) {
    config.rank_order = wrong;
    EXPECT_THAT(refusal(config, 8), HasSubstr("must name tp, cp, ep, dp and pp once each")) << wrong;
  }
}

TEST(Mesh, OneRankOfAllThatHoldAPieceCountsIt) {
  comm::run_thread_ranks(8, [](Communicator& world) {
    ParallelConfig config;
    config.tensor_model_parallel_size = 4;
    config.pipeline_model_parallel_size = 2;
    Mesh mesh(world, config);
    const auto counted = [&](const std::map<AxisId, Placement>& placement) {
      Context context;
      Tensor count = Tensor::allocate(context.allocator, {1}, DType::kInt64, MemoryCategory::kWorkspace);
      ParameterPiece piece;
      piece.placement = placement;
      count.data<int64_t>()[0] = mesh.counted_here(piece) ? 1 : 0;
      world.all_reduce(count, ReduceOp::kSum);
      return count.data<int64_t>()[0];
    };
    const AxisId tensor = static_cast<AxisId>(Axis::kTensor), pipeline = static_cast<AxisId>(Axis::kPipeline);
    using Kind = Placement::Kind;
    EXPECT_EQ(counted({}), 8);
    EXPECT_EQ(counted({{tensor, {Kind::kSplit}}}), 8);
    EXPECT_EQ(counted({{tensor, {Kind::kSplit, 0, 2}}}), 4);
    EXPECT_EQ(counted({{tensor, {Kind::kReplicatedEqual}}}), 2);
    EXPECT_EQ(counted({{tensor, {Kind::kReplicatedPartial}}, {pipeline, {Kind::kReplicatedPartial}}}), 1);
  });
}

TEST(Mesh, StagesThatShareHaveAGroupAndNeighboursStandSideBySide) {
  comm::run_thread_ranks(6, [](Communicator& world) {
    ParallelConfig config;
    config.pipeline_model_parallel_size = 3;
    config.tensor_model_parallel_size = 2;
    Mesh mesh(world, config);
    const int stage = mesh.coordinate(Axis::kPipeline);
    mesh.make_stage_groups({{0, 2}});
    if (stage != 1) {
      EXPECT_EQ(mesh.stages({0, 2}).size(), 2);
      EXPECT_EQ(mesh.stages({0, 2}).rank(), stage / 2);
    }
    Communicator& pair = mesh.neighbours(Axis::kTensor, 2);
    EXPECT_EQ(pair.size(), 2);
    EXPECT_EQ(pair.rank(), mesh.coordinate(Axis::kTensor));
    EXPECT_EQ(&mesh.neighbours(Axis::kTensor, 2), &pair);
  });
}

TEST(Mesh, EveryAxisHasAGroupAndTheDataAxisTheRest) {
  comm::run_thread_ranks(4, [](Communicator& world) {
    Mesh mesh(world, ParallelConfig{});
    EXPECT_EQ(mesh.data().size(), 4);
    EXPECT_EQ(mesh.data().rank(), world.rank());
    EXPECT_EQ(mesh.data().name(), "data");
    EXPECT_EQ(mesh.coordinate(Axis::kData), world.rank());
    EXPECT_EQ(mesh.axis(Axis::kTensor).size(), 1);
    EXPECT_EQ(mesh.axis(Axis::kPipeline).size(), 1);
    mesh.data().barrier();
    EXPECT_EQ(mesh.counters().entries.at("data/barrier").calls, 1);
  });
}

}  // namespace
}  // namespace trireme
