#include "parallel/checkpoint/save_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/base/error.h"

namespace trireme::checkpoint {
namespace {

using Held = std::vector<std::vector<TensorBox>>;

TensorBox box(const std::string& name, const Shape& shape, const Shape& offset, const Shape& extent) {
  return {{"model", name, DType::kFloat32, shape, "decay"}, {offset, extent}};
}
TensorBox whole(const std::string& name, const Shape& shape) {
  return box(name, shape, Shape(shape.size(), 0), shape);
}

std::vector<int64_t> bytes_by_rank(const Held& held, const SavePlan& plan) {
  std::vector<int64_t> bytes;
  for (const auto& planned : plan.ranks) {
    bytes.push_back(0);
    for (const PlannedBox& part : planned) bytes.back() += part.box.num_elements() * 4;
  }
  EXPECT_EQ(held.size(), bytes.size());
  return bytes;
}

TEST(SavePlan, DividesTheBytesOfReplicasEvenly) {
  const std::vector<TensorBox> model = {whole("a", {1000, 300}), whole("b", {7}), whole("c", {5000, 100}),
                                        whole("d", {999, 3, 40})};
  int64_t total = 0;
  for (const TensorBox& tensor : model) total += tensor.num_bytes();
  for (const size_t num_ranks : {1u, 2u, 3u, 5u, 16u}) {
    const Held held(num_ranks, model);
    const SavePlan plan = plan_save(held, {});  // proves that every tensor is covered once
    EXPECT_EQ(plan.num_bytes, total);
    size_t boxes = 0;
    for (const auto& planned : plan.ranks) boxes += planned.size();
    EXPECT_LE(boxes, model.size() + num_ranks);
    for (const int64_t bytes : bytes_by_rank(held, plan))
      EXPECT_NEAR(static_cast<double>(bytes), static_cast<double>(total) / static_cast<double>(num_ranks),
                  2048.0)
          << num_ranks << " ranks";
  }
}

TEST(SavePlan, KeepsSmallTensorsWholeAndServesMoreRanksThanRows) {
  const Held held(5, {whole("bias", {3}), whole("row", {1, 100000}), whole("norm", {64, 32})});
  const SavePlan plan = plan_save(held, {});
  for (const auto& planned : plan.ranks)
    for (const PlannedBox& part : planned) EXPECT_EQ(part.box, held[0][part.held].box);
}

TEST(SavePlan, DealsSplitTensorsAmongTheRanksThatHoldThem) {
  // Two tensor-parallel halves, two replicas each, and a norm that all four hold.
  Held held(4);
  for (size_t rank = 0; rank < 4; ++rank) {
    const int64_t half = static_cast<int64_t>(rank % 2) * 500;
    held[rank] = {box("w", {1000, 600}, {half, 0}, {500, 600}), box("v", {600, 1000}, {0, half}, {600, 500}),
                  whole("n", {600})};
  }
  const SavePlan plan = plan_save(held, {});
  for (const int64_t bytes : bytes_by_rank(held, plan)) EXPECT_NEAR(static_cast<double>(bytes), 1.2e6, 5e3);
}

TEST(SavePlan, IsAPureFunctionOfWhatIsHeld) {
  const std::vector<TensorBox> model = {whole("a", {100, 300}), whole("b", {7})};
  EXPECT_EQ(plan_save(Held(3, model), {}).hash, plan_save(Held(3, model), {}).hash);
  EXPECT_NE(plan_save(Held(3, model), {}).hash, plan_save(Held(2, model), {}).hash);
  EXPECT_NE(plan_save(Held(3, model), {}).hash, plan_save(Held(3, {model[0], whole("b", {8})}), {}).hash);
}

TEST(SavePlan, RefusesHolesAndABoxHeldTwiceByOneRank) {
  EXPECT_THROW(plan_save({{box("a", {4, 4}, {0, 0}, {3, 4})}}, {}), InternalError);
  EXPECT_THROW(plan_save({{whole("a", {4}), whole("a", {4})}}, {}), InternalError);
}

TEST(SavePlan, BoxesThatOverlapWithoutBeingEqualAreWrittenOnce) {
  // Shards of one optimizer state whose weights two stages hold: each stage cuts its own flat buffer.
  const auto rows = [](int64_t begin, int64_t end) {
    return box("wte", {100, 30}, {begin, 0}, {end - begin, 30});
  };
  const auto part_of_row = [](int64_t row, int64_t begin, int64_t end) {
    return box("wte", {100, 30}, {row, begin}, {1, end - begin});
  };
  const Held held = {{rows(0, 50), part_of_row(50, 0, 7)},
                     {part_of_row(50, 7, 30), rows(51, 100)},
                     {rows(0, 20), part_of_row(20, 0, 29)},
                     {part_of_row(20, 29, 30), rows(21, 100)}};
  const SavePlan plan = plan_save(held, {});  // proves that every element is covered once
  for (size_t rank = 0; rank < held.size(); ++rank)
    for (const PlannedBox& part : plan.ranks[rank])
      EXPECT_EQ(intersection(part.box, held[rank][part.held].box), part.box);
  EXPECT_TRUE(plan.replicas.empty());
}

TEST(SavePlan, RandomOverlappingBoxesAreWrittenOnce) {
  const uint32_t seed = 20260901;
  std::printf("seed %u\n", seed);
  std::mt19937 random(seed);
  for (int draw = 0; draw < 300; ++draw) {
    const auto below = [&](int64_t bound) {
      return static_cast<int64_t>(random() % static_cast<uint64_t>(bound));
    };
    Shape shape;
    for (int64_t dim = 1 + below(3); dim-- > 0;) shape.push_back(1 + below(9));
    Held held(static_cast<size_t>(1 + below(5)));
    for (auto& boxes : held) {
      Box chosen{shape, shape};
      for (size_t dim = 0; dim < shape.size(); ++dim) {
        chosen.offset[dim] = below(shape[dim]);
        chosen.extent[dim] = 1 + below(shape[dim] - chosen.offset[dim]);
      }
      boxes = {box("a", shape, chosen.offset, chosen.extent)};
    }
    held.push_back({whole("a", shape)});
    const SavePlan plan = plan_save(held, {});  // proves that every element is covered once
    for (size_t rank = 0; rank < held.size(); ++rank)
      for (const PlannedBox& part : plan.ranks[rank])
        EXPECT_EQ(intersection(part.box, held[rank][part.held].box), part.box) << "draw " << draw;
  }
}

TEST(SavePlan, ListsTensorsInTheModelsOrderWhoeverHoldsThem) {
  // Two stages of two chunks; masters on one rank only.
  Held held = {{whole("h.0", {3}), whole("h.2", {3})}, {whole("h.1", {3}), whole("h.10", {3})}};
  held[0].push_back(held[0][1]);
  held[0].back().role = "master";
  const SavePlan plan = plan_save(held, {"h.0", "h.1", "h.2", "h.10"});
  std::vector<std::string> names;
  for (const LogicalTensor& tensor : plan.tensors) names.push_back(tensor.role + " " + tensor.name);
  EXPECT_THAT(names,
              ::testing::ElementsAre("model h.0", "model h.1", "model h.2", "model h.10", "master h.2"));
}

TEST(SavePlan, OnlyRanksThatHoldTheSameBoxAreReplicas) {
  Held held(4);
  for (size_t rank = 0; rank < 4; ++rank)
    held[rank] = {box("w", {4, 4}, {0, static_cast<int64_t>(rank % 2) * 2}, {4, 2}), whole("n", {4})};
  const SavePlan plan = plan_save(held, {});
  std::vector<std::vector<size_t>> groups;
  for (const Replicas& replicas : plan.replicas) groups.push_back(replicas.ranks);
  EXPECT_THAT(groups, ::testing::ElementsAre(std::vector<size_t>{0, 1, 2, 3}, std::vector<size_t>{0, 2},
                                             std::vector<size_t>{1, 3}));
}

TEST(SavePlan, RefusesRanksThatMeanAnotherShape) {
  try {
    plan_save({{whole("a", {4})}, {whole("a", {5})}}, {});
    FAIL() << "accepted";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    EXPECT_THAT(error.what(), ::testing::HasSubstr(
                                  "model a is float32 [4] decay on rank 0 and float32 [5] decay on rank 1"));
  }
}

TEST(Coverage, SaysWhatIsWrong) {
  EXPECT_EQ(coverage_error({4, 4}, {{{0, 0}, {4, 2}}, {{0, 2}, {4, 2}}}), "");
  EXPECT_THAT(coverage_error({4, 4}, {{{0, 0}, {4, 2}}}), ::testing::HasSubstr("cover 8 of 16"));
  EXPECT_THAT(coverage_error({4}, {{{0}, {3}}, {{2}, {2}}}), ::testing::HasSubstr("overlap"));
  EXPECT_THAT(coverage_error({4}, {{{2}, {3}}}), ::testing::HasSubstr("not inside"));
  EXPECT_THAT(coverage_error({4}, {{{INT64_MAX - 1}, {3}}}), ::testing::HasSubstr("not inside"));
  EXPECT_THAT(coverage_error({4}, {{{0, 0}, {4, 1}}}), ::testing::HasSubstr("dimensions"));
}

}  // namespace
}  // namespace trireme::checkpoint
