#include "parallel/pipeline/schedule.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "core/base/error.h"
#include "tests/support/paths.h"

namespace trireme {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

/// "F0 F1 B0": the kind's letters and the micro-batch, then ".chunk" where there are several. Sends and
/// receives (SF: send forward) are left out unless asked for.
std::string drawn(const Schedule& schedule, int stage, bool transfers = false) {
  static constexpr std::array<const char*, Action::kNumKinds> kLetters = {"F",  "B",  "I",  "W",
                                                                          "SF", "RF", "SB", "RB"};
  std::string text;
  for (const Action& action : schedule.stages[static_cast<size_t>(stage)]) {
    if (!transfers && is_transfer(action.kind)) continue;
    text += fmt::format("{}{}{}", text.empty() ? "" : " ", kLetters[static_cast<size_t>(action.kind)],
                        action.micro_batch);
    if (schedule.num_chunks > 1) text += fmt::format(".{}", action.chunk);
  }
  return text;
}

std::string refusal(PipelineSchedule kind, int num_stages, int num_chunks, int num_micro_batches) {
  try {
    make_schedule(kind, num_stages, num_chunks, num_micro_batches);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Schedule, GpipeRunsAllForwardsBeforeTheFirstBackward) {
  const Schedule schedule = make_schedule(PipelineSchedule::kGpipe, 2, 1, 3);
  EXPECT_EQ(drawn(schedule, 0), "F0 F1 F2 B0 B1 B2");
  EXPECT_EQ(drawn(schedule, 1), "F0 F1 F2 B0 B1 B2");
}

TEST(Schedule, OneForwardOneBackwardWarmsUpByTheStagesAfter) {
  const Schedule schedule = make_schedule(PipelineSchedule::k1f1b, 3, 1, 4);
  EXPECT_EQ(drawn(schedule, 0), "F0 F1 F2 B0 F3 B1 B2 B3");
  EXPECT_EQ(drawn(schedule, 1), "F0 F1 B0 F2 B1 F3 B2 B3");
  EXPECT_EQ(drawn(schedule, 2), "F0 B0 F1 B1 F2 B2 F3 B3");
  EXPECT_EQ(drawn(make_schedule(PipelineSchedule::k1f1b, 4, 1, 1), 0), "F0 B0");
}

TEST(Schedule, InterleavedPassesGroupsThroughTheChunks) {
  const Schedule schedule = make_schedule(PipelineSchedule::kInterleaved, 2, 2, 4);
  EXPECT_EQ(drawn(schedule, 0),
            "F0.0 F1.0 F0.1 F1.1 F2.0 B0.1 F3.0 B1.1 F2.1 B0.0 F3.1 B1.0 B2.1 B3.1 B2.0 B3.0");
  EXPECT_EQ(drawn(schedule, 1),
            "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 F2.0 B0.0 F3.0 B1.0 F2.1 B2.1 F3.1 B3.1 B2.0 B3.0");
}

TEST(Schedule, InterleavedSpreadsARemainderOverTheGroups) {
  EXPECT_EQ(
      drawn(make_schedule(PipelineSchedule::kInterleaved, 2, 2, 5), 1),
      "F0.0 F1.0 F2.0 F0.1 B0.1 F1.1 B1.1 F2.1 B2.1 F3.0 B0.0 F4.0 B1.0 F3.1 B2.0 F4.1 B3.1 B4.1 B3.0 B4.0");
}

TEST(Schedule, ZeroBubbleDelaysWeightGradientsByTheStagesBefore) {
  const Schedule schedule = make_schedule(PipelineSchedule::kZeroBubble, 3, 1, 4);
  EXPECT_EQ(drawn(schedule, 0), "F0 F1 F2 I0 W0 F3 I1 W1 I2 W2 I3 W3");
  EXPECT_EQ(drawn(schedule, 1), "F0 F1 I0 F2 I1 W0 F3 I2 W1 I3 W2 W3");
  EXPECT_EQ(drawn(schedule, 2), "F0 I0 F1 I1 F2 I2 W0 F3 I3 W1 W2 W3");
}

TEST(Schedule, TheOrderOfWorkIsThatOfPytorch) {
  std::ifstream file(testing::test_folder() + "/unit/parallel/pipeline/torch_schedules.txt");
  std::string version, name, order;
  ASSERT_TRUE(std::getline(file, version));
  int num_stages, num_chunks, num_micro_batches, stage, num_orders = 0;
  char colon;
  while (file >> name >> num_stages >> num_chunks >> num_micro_batches >> stage >> colon >> std::ws &&
         std::getline(file, order)) {
    const auto kind = std::find_if(kPipelineScheduleNames.begin(), kPipelineScheduleNames.end(),
                                   [&](const auto& entry) { return entry.first == name; });
    ASSERT_NE(kind, kPipelineScheduleNames.end()) << name;
    EXPECT_EQ(drawn(make_schedule(kind->second, num_stages, num_chunks, num_micro_batches), stage), order)
        << version << ", " << name << ", " << num_stages << " stages, stage " << stage;
    ++num_orders;
  }
  EXPECT_EQ(num_orders, 39);
}

TEST(Schedule, TransfersStandNextToTheWorkTheyServe) {
  const Schedule straight = make_schedule(PipelineSchedule::k1f1b, 3, 1, 1);
  EXPECT_EQ(drawn(straight, 0, true), "F0 SF0 RB0 B0");
  EXPECT_EQ(drawn(straight, 1, true), "RF0 F0 SF0 RB0 B0 SB0");
  EXPECT_EQ(drawn(straight, 2, true), "RF0 F0 B0 SB0");
  const Schedule wrapped = make_schedule(PipelineSchedule::kInterleaved, 2, 2, 1);
  EXPECT_EQ(drawn(wrapped, 0, true), "F0.0 SF0.0 RF0.1 F0.1 SF0.1 RB0.1 B0.1 SB0.1 RB0.0 B0.0");
  EXPECT_EQ(drawn(wrapped, 1, true), "RF0.0 F0.0 SF0.0 RF0.1 F0.1 B0.1 SB0.1 RB0.0 B0.0 SB0.0");
  EXPECT_EQ(drawn(make_schedule(PipelineSchedule::kZeroBubble, 2, 1, 1), 1, true), "RF0 F0 I0 SB0 W0");
}

TEST(Schedule, OneStageSendsNothing) {
  for (const auto& [name, kind] : kPipelineScheduleNames) {
    const Schedule schedule = make_schedule(kind, 1, kind == PipelineSchedule::kInterleaved ? 3 : 1, 5);
    EXPECT_EQ(drawn(schedule, 0, true), drawn(schedule, 0)) << name;
  }
}

TEST(Schedule, TheOtherEndOfATransferIsOnTheNeighbouringVirtualStage) {
  const Schedule schedule = make_schedule(PipelineSchedule::kInterleaved, 4, 2, 4);
  using Kind = Action::Kind;
  const auto expect = [&](int stage, Action action, int other, Action answer) {
    const StageAction found = other_end(schedule, stage, action);
    EXPECT_EQ(found.stage, other);
    EXPECT_EQ(found.action, answer);
    const StageAction back = other_end(schedule, found.stage, found.action);
    EXPECT_EQ(back.stage, stage);
    EXPECT_EQ(back.action, action);
  };
  expect(1, {Kind::kSendForward, 2, 0}, 2, {Kind::kReceiveForward, 2, 0});
  expect(3, {Kind::kSendForward, 2, 0}, 0, {Kind::kReceiveForward, 2, 1});
  expect(2, {Kind::kSendBackward, 1, 1}, 1, {Kind::kReceiveBackward, 1, 1});
  expect(0, {Kind::kSendBackward, 1, 1}, 3, {Kind::kReceiveBackward, 1, 0});
  EXPECT_THROW(other_end(schedule, 0, {Kind::kForward, 0, 0}), InternalError);
}

TEST(Schedule, EveryChunkAddsItsGradientsInTheOrderOfTheMicroBatches) {
  for (const auto& [name, kind] : kPipelineScheduleNames)
    for (const int num_stages : {1, 2, 3, 8})
      for (const int num_micro_batches : {1, 5, 8, 19}) {
        const Schedule schedule = make_schedule(
            kind, num_stages, kind == PipelineSchedule::kInterleaved ? 3 : 1, num_micro_batches);
        for (const auto& actions : schedule.stages) {
          std::map<std::pair<Action::Kind, int>, int> next;
          for (const Action& action : actions)
            EXPECT_EQ((next[{action.kind, action.chunk}]++), action.micro_batch) << name << describe(action);
        }
      }
}

TEST(Schedule, WhatCannotBeIsRefusedWithTheArithmetic) {
  EXPECT_THAT(refusal(PipelineSchedule::k1f1b, 4, 3, 8),
              AllOf(HasSubstr("1f1b: 4 stages x 3 chunks a stage = 12 virtual stages, 8 micro-batches"),
                    HasSubstr("it takes 1 chunk a stage; set parallel.virtual_pipeline_model_parallel_size "
                              "to 1, or take interleaved")));
  EXPECT_THAT(refusal(PipelineSchedule::kInterleaved, 4, 1, 8),
              HasSubstr("parallel.virtual_pipeline_model_parallel_size to 2, or take 1f1b"));
  EXPECT_THAT(refusal(PipelineSchedule::kGpipe, 0, 1, 8), HasSubstr("each must be at least 1"));
  EXPECT_THAT(refusal(PipelineSchedule::kGpipe, 2, 1, 0), HasSubstr("each must be at least 1"));
  EXPECT_THAT(refusal(PipelineSchedule::kZeroBubble, 2, -1, 8), HasSubstr("each must be at least 1"));
}

TEST(Schedule, NamesAreThoseOfRunFiles) {
  for (const auto& [name, kind] : kPipelineScheduleNames) EXPECT_STREQ(name_of(kind), name);
  EXPECT_STREQ(name_of(PipelineSchedule::kZeroBubble), "zb-h1");
  EXPECT_EQ(describe({Action::Kind::kReceiveBackward, 3, 1}), "receive backward of micro-batch 3, chunk 1");
}

}  // namespace
}  // namespace trireme
