#include "parallel/pipeline/schedule_timing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "core/base/error.h"

namespace trireme {
namespace {

Timeline timed(PipelineSchedule kind, int p, int v, int m, const ActionCosts& costs) {
  const Schedule schedule = make_schedule(kind, p, v, m);
  return time_schedule(schedule,
                       std::vector<ActionCosts>(static_cast<size_t>(schedule.num_virtual_stages()), costs));
}

TEST(ScheduleTiming, GpipeAnd1f1bHaveTheBubbleOfThePapers) {
  // Idle (p - 1)(T_F + T_B) of m (T_F + T_B) work: Narayanan et al. 2021 (Megatron-LM), section 2.2.1.
  for (const auto kind : {PipelineSchedule::kGpipe, PipelineSchedule::k1f1b})
    for (int p = 1; p <= 16; ++p)
      for (int m = 1; m <= 40; ++m) {
        const Timeline timeline = timed(kind, p, 1, m, {3, 4, 2});
        ASSERT_EQ(span_of(timeline).seconds(), (m + p - 1) * 9) << name_of(kind) << " " << p << " " << m;
        ASSERT_NEAR(bubble_fraction(timeline), (p - 1.0) / (m + p - 1), 1e-12)
            << name_of(kind) << p << " " << m;
      }
}

TEST(ScheduleTiming, InterleavedDividesTheBubbleByTheChunks) {
  // Idle (p - 1)(T_F + T_B) / v of m (T_F + T_B) work: Narayanan et al. 2021 (Megatron-LM), section 2.2.2,
  // for multiples of p. Here it holds for every m >= p.
  for (int p = 1; p <= 12; ++p)
    for (int v = 2; v <= 4; ++v)
      for (int m = p; m <= 40; ++m)
        ASSERT_NEAR(bubble_fraction(timed(PipelineSchedule::kInterleaved, p, v, m, {3, 4, 2})),
                    (p - 1.0) / (v * m + p - 1), 1e-12)
            << p << " stages, " << v << " chunks, " << m << " micro-batches";
}

TEST(ScheduleTiming, ZeroBubbleLeavesEveryStageTheIdleTimeOfThePaper) {
  // (p - 1)(T_F + T_B - T_W), Qi et al. 2023, section 2, where m >= p. Stage s delays s weight gradients into
  // the s T_B that its last gradient takes to reach stage 0, so T_W must not be above T_B, nor above T_F.
  for (const ActionCosts& costs :
       {ActionCosts{1, 1, 1}, ActionCosts{3, 4, 2}, ActionCosts{2, 2, 1}, ActionCosts{5, 3, 3}})
    for (int p = 1; p <= 16; ++p)
      for (int m = p; m <= 40; ++m)
        ASSERT_EQ(span_of(timed(PipelineSchedule::kZeroBubble, p, 1, m, costs)).seconds() -
                      m * (costs.forward + costs.backward_input + costs.backward_weight),
                  (p - 1) * (costs.forward + costs.backward_input - costs.backward_weight))
            << p << " stages, " << m << " micro-batches";
}

TEST(ScheduleTiming, ATransferDelaysTheReceiverOnly) {
  // Two stages, one micro-batch: forward, transfer, forward, backward, transfer, backward.
  const Timeline timeline = timed(PipelineSchedule::k1f1b, 2, 1, 1, {1, 2, 3, 10});
  const auto event = [&](int rank, Action::Kind kind) {
    return *std::find_if(timeline.begin(), timeline.end(), [&](const TimelineEvent& candidate) {
      return candidate.rank == rank && candidate.action.kind == kind;
    });
  };
  const auto expect = [&](int rank, Action::Kind kind, double begin, double end) {
    EXPECT_EQ(event(rank, kind).begin, begin) << name_of(kind);
    EXPECT_EQ(event(rank, kind).end, end) << name_of(kind);
  };
  expect(0, Action::Kind::kForward, 0, 1);
  expect(0, Action::Kind::kSendForward, 1, 1);
  expect(1, Action::Kind::kReceiveForward, 0, 11);
  expect(1, Action::Kind::kForward, 11, 12);
  expect(1, Action::Kind::kBackward, 12, 17);
  expect(0, Action::Kind::kReceiveBackward, 1, 27);
  expect(0, Action::Kind::kBackward, 27, 32);
  EXPECT_DOUBLE_EQ(bubble_fraction(timeline), 1 - 12.0 / 64);
}

TEST(ScheduleTiming, EveryVirtualStageHasItsOwnCosts) {
  const Schedule schedule = make_schedule(PipelineSchedule::kInterleaved, 2, 2, 1);
  const Timeline timeline = time_schedule(schedule, {{1, 10, 0}, {2, 20, 0}, {3, 30, 0}, {4, 40, 0, 0}});
  EXPECT_EQ(span_of(timeline).seconds(), 110);
  for (const auto& [rank, stage, action, begin, end] : timeline)
    if (action.kind == Action::Kind::kForward) {
      EXPECT_EQ(end - begin, 1 + schedule.virtual_stage(stage, action.chunk));
    }
  EXPECT_THROW(time_schedule(schedule, {{1, 1, 1}}), InternalError);
}

TEST(ScheduleTiming, NothingOverlapsAndNothingRunsBeforeItsInput) {
  const unsigned seed = 20250108;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> cost(0.1, 2);
  for (const auto& [name, kind] : kPipelineScheduleNames) {
    const Schedule schedule = make_schedule(kind, 5, kind == PipelineSchedule::kInterleaved ? 3 : 1, 12);
    std::vector<ActionCosts> costs(static_cast<size_t>(schedule.num_virtual_stages()));
    for (ActionCosts& each : costs) each = {cost(random), cost(random), cost(random), cost(random)};
    std::vector<double> clocks(5, 0.0);
    const Timeline timeline = time_schedule(schedule, costs);
    for (const auto& [rank, stage, action, begin, end] : timeline) {
      EXPECT_GE(begin, clocks[static_cast<size_t>(rank)]) << name;
      clocks[static_cast<size_t>(rank)] = end;
      if (!is_receive(action.kind)) continue;
      const StageAction send = other_end(schedule, stage, action);
      const auto sent =
          std::find_if(timeline.begin(), timeline.end(), [&, &sender = send](const TimelineEvent& event) {
            return event.stage == sender.stage && event.action == sender.action;
          });
      ASSERT_NE(sent, timeline.end());
      EXPECT_GE(
          end,
          sent->end +
              costs[static_cast<size_t>(schedule.virtual_stage(send.stage, send.action.chunk))].transfer);
    }
  }
}

}  // namespace
}  // namespace trireme
