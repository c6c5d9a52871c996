#include "parallel/pipeline/schedule_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <random>

#include "core/base/error.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using Kind = Action::Kind;

/// Every schedule of up to 16 stages, 4 chunks and 64 micro-batches.
template <class Use>
int for_every_schedule(const Use& use) {
  int num_schedules = 0;
  for (const auto& [name, kind] : kPipelineScheduleNames)
    for (int num_chunks = 1; num_chunks <= 4; ++num_chunks) {
      if ((kind == PipelineSchedule::kInterleaved) != (num_chunks > 1)) continue;
      for (int num_stages = 1; num_stages <= 16; ++num_stages)
        for (int num_micro_batches = 1; num_micro_batches <= 64; ++num_micro_batches, ++num_schedules)
          use(kind, make_schedule(kind, num_stages, num_chunks, num_micro_batches));
    }
  return num_schedules;
}

/// Peaks as the papers give them; for interleaved, the 2 (p - s - 1) + (v - 1) g warm-up forwards (g: the
/// first group, p where p divides m) and one more.
ScheduleProof::Peak expected_peak(PipelineSchedule kind, const Schedule& schedule, int stage) {
  const int p = schedule.num_stages, m = schedule.num_micro_batches, v = schedule.num_chunks;
  const int groups = std::max(1, m / p), g = (m + groups - 1) / groups;
  const int lag = std::min(m, p - stage);
  const int interleaved = std::min(m * v, 2 * (p - stage - 1) + (v - 1) * g + 1);
  switch (kind) {
    case PipelineSchedule::kGpipe:
      return {m, m};
    case PipelineSchedule::k1f1b:
      return {lag, lag};
    case PipelineSchedule::kInterleaved:
      return {interleaved, interleaved};
    case PipelineSchedule::kZeroBubble:
      return {lag, std::min(m, p)};
  }
  return {};
}

std::string fault_in(const Schedule& schedule) {
  try {
    check_schedule(schedule);
  } catch (const InternalError& error) {
    return error.what();
  }
  return "";
}

std::vector<Action>::iterator find(std::vector<Action>& actions, const Action& action) {
  return std::find(actions.begin(), actions.end(), action);
}

TEST(ScheduleCheck, ProvesEverySmallScheduleWithThePeaksOfThePapers) {
  const int num_schedules = for_every_schedule([](PipelineSchedule kind, const Schedule& schedule) {
    const ScheduleProof proof = check_schedule(schedule);
    for (int stage = 0; stage < schedule.num_stages; ++stage)
      ASSERT_EQ(proof.peaks[stage], expected_peak(kind, schedule, stage))
          << name_of(kind) << ": " << schedule.num_stages << " stages, " << schedule.num_chunks << " chunks, "
          << schedule.num_micro_batches << " micro-batches, stage " << stage;
  });
  EXPECT_EQ(num_schedules, 6 * 16 * 64);
}

TEST(ScheduleCheck, TheOrderKeepsEachStagesOwnAndPutsSendsFirst) {
  const Schedule schedule = make_schedule(PipelineSchedule::kInterleaved, 4, 2, 9);
  const auto order = check_schedule(schedule).order;
  std::vector<size_t> next(4, 0);
  for (size_t i = 0; i < order.size(); ++i) {
    const auto& [stage, index, after] = order[i];
    EXPECT_EQ(index, next[stage]++);
    const Action& action = schedule.stages[stage][index];
    if (!is_receive(action.kind)) continue;
    ASSERT_LT(after, i);
    const StageAction other = other_end(schedule, stage, action);
    EXPECT_EQ(order[after].stage, other.stage);
    EXPECT_EQ(schedule.stages[order[after].stage][order[after].index], other.action);
  }
  for (int stage = 0; stage < 4; ++stage) EXPECT_EQ(next[stage], schedule.stages[stage].size());
}

TEST(ScheduleCheck, NamesStageAndActionOfAFault) {
  const Schedule good = make_schedule(PipelineSchedule::k1f1b, 3, 1, 4);

  Schedule lost_send = good;
  lost_send.stages[1].erase(find(lost_send.stages[1], {Kind::kSendForward, 2, 0}));
  EXPECT_EQ(
      fault_in(lost_send),
      "pipeline schedule: stage 2: receive forward of micro-batch 2, chunk 0 waits for ever for send forward "
      "of micro-batch 2, chunk 0 of stage 1");

  Schedule lost_receive = good;
  lost_receive.stages[0].erase(find(lost_receive.stages[0], {Kind::kReceiveBackward, 3, 0}));
  EXPECT_EQ(
      fault_in(lost_receive),
      "pipeline schedule: stage 0: backward of micro-batch 3, chunk 0 waits for ever for receive backward of "
      "micro-batch 3, chunk 0 of stage 0");

  Schedule doubled = good;
  doubled.stages[2].push_back({Kind::kBackward, 3, 0});
  EXPECT_EQ(fault_in(doubled), "pipeline schedule: stage 2: backward of micro-batch 3, chunk 0 stands twice");

  Schedule no_weight = make_schedule(PipelineSchedule::kZeroBubble, 3, 1, 4);
  no_weight.stages[1].pop_back();
  EXPECT_EQ(fault_in(no_weight),
            "pipeline schedule: stage 1: backward-weight of micro-batch 3, chunk 0 is missing");

  Schedule early = good;
  std::iter_swap(find(early.stages[2], {Kind::kForward, 1, 0}),
                 find(early.stages[2], {Kind::kBackward, 1, 0}));
  EXPECT_THAT(fault_in(early),
              HasSubstr("stage 2: backward of micro-batch 1, chunk 0 waits for ever for forward"));

  Schedule foreign = good;
  foreign.stages[0].push_back({Kind::kForward, 4, 0});
  EXPECT_THAT(fault_in(foreign), HasSubstr("is outside 4 micro-batches x 1 chunks"));

  Schedule into_nothing = good;
  into_nothing.stages[2].push_back({Kind::kSendForward, 0, 0});
  EXPECT_THAT(fault_in(into_nothing),
              HasSubstr("stage 2: send forward of micro-batch 0, chunk 0 has no other stage"));
}

TEST(ScheduleCheck, ACircleOfWaitsIsFound) {
  // Each stage wants the other's message first.
  Schedule schedule = make_schedule(PipelineSchedule::k1f1b, 2, 1, 2);
  auto& first = schedule.stages[0];
  std::rotate(find(first, {Kind::kForward, 1, 0}), find(first, {Kind::kReceiveBackward, 0, 0}),
              find(first, {Kind::kBackward, 0, 0}) + 1);
  auto& last = schedule.stages[1];
  std::rotate(find(last, {Kind::kBackward, 0, 0}), find(last, {Kind::kReceiveForward, 1, 0}),
              find(last, {Kind::kForward, 1, 0}) + 1);
  EXPECT_THAT(fault_in(schedule), HasSubstr("waits for ever for send"));
}

/// Puts an action where it cannot be: a transfer on the wrong side of its work, a backward before its
/// forward.
void swap_with_what_it_needs(std::vector<Action>& actions, size_t at) {
  const auto [kind, micro_batch, chunk] = actions[at];
  if (is_receive(kind)) return std::swap(actions[at], actions[at + 1]);
  if (is_transfer(kind)) return std::swap(actions[at], actions[at - 1]);
  const auto backward = std::find_if(actions.begin(), actions.end(), [&](const Action& other) {
    return (other.kind == Kind::kBackward || other.kind == Kind::kBackwardInput) &&
           other.micro_batch == micro_batch && other.chunk == chunk;
  });
  std::iter_swap(find(actions, {Kind::kForward, micro_batch, chunk}), backward);
}

TEST(ScheduleCheck, PlantedFaultsAreEachFound) {
  const unsigned seed = 20250107;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const auto below = [&](size_t bound) {
    return std::uniform_int_distribution<size_t>(0, bound - 1)(random);
  };
  for (int draw = 0; draw < 3000; ++draw) {
    const auto& [name, kind] = kPipelineScheduleNames[below(4)];
    const int num_chunks = kind == PipelineSchedule::kInterleaved ? 2 + static_cast<int>(below(3)) : 1;
    Schedule schedule =
        make_schedule(kind, 1 + static_cast<int>(below(8)), num_chunks, 1 + static_cast<int>(below(20)));
    ASSERT_EQ(fault_in(schedule), "");
    const size_t stage = below(schedule.stages.size());
    auto& actions = schedule.stages[stage];
    const size_t at = below(actions.size());
    const Action victim = actions[at];
    const auto erase = [&] { actions.erase(actions.begin() + static_cast<std::ptrdiff_t>(at)); };
    const auto insert = [&](std::vector<Action>& into) {
      into.insert(into.begin() + static_cast<std::ptrdiff_t>(below(into.size() + 1)), victim);
    };
    const auto plant = std::array<std::function<void()>, 5>{
        erase, [&] { insert(actions); }, [&] { swap_with_what_it_needs(actions, at); },
        [&] { ++actions[at].micro_batch; },
        [&] {
          erase();
          schedule.stages.size() > 1 ? insert(schedule.stages[(stage + 1) % schedule.stages.size()]) : void();
        }};
    const size_t fault = below(plant.size());
    plant[fault]();
    EXPECT_THAT(fault_in(schedule), HasSubstr("pipeline schedule: stage "))
        << name << ", draw " << draw << ", fault " << fault << " at stage " << stage << ", "
        << describe(victim);
  }
}

}  // namespace
}  // namespace trireme
