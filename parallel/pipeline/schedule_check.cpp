#include "parallel/pipeline/schedule_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/base/check.h"
#include "core/base/error.h"

namespace trireme {
namespace {

using Kind = Action::Kind;

[[noreturn]] void fail(const StageAction& step, const std::string& what) {
  throw InternalError(
      fmt::format("pipeline schedule: stage {}: {} {}", step.stage, describe(step.action), what));
}

/// What must be done before a step, if anything. A whole backward is known as its backward-input and
/// backward-weight. That a backward follows its own forward is implied: the gradient comes from the virtual
/// stage behind, and that one needed the forward's output.
std::optional<StageAction> need_of(const Schedule& schedule, const StageAction& step) {
  const auto& [stage, action] = step;
  const auto here = [&](Kind kind, int chunk) {
    return StageAction{stage, {kind, action.micro_batch, chunk}};
  };
  const int chunk = action.chunk, place = schedule.virtual_stage(stage, chunk);
  const bool alone = schedule.num_stages == 1;
  switch (action.kind) {
    case Kind::kForward:
      if (place == 0) return std::nullopt;
      return alone ? here(Kind::kForward, chunk - 1) : here(Kind::kReceiveForward, chunk);
    case Kind::kBackward:
    case Kind::kBackwardInput:
      if (place == schedule.num_virtual_stages() - 1) return here(Kind::kForward, chunk);
      return alone ? here(Kind::kBackwardInput, chunk + 1) : here(Kind::kReceiveBackward, chunk);
    case Kind::kSendForward:
      return here(Kind::kForward, chunk);
    case Kind::kBackwardWeight:
    case Kind::kSendBackward:
      return here(Kind::kBackwardInput, chunk);
    case Kind::kReceiveForward:
    case Kind::kReceiveBackward:
      return other_end(schedule, stage, action);
  }
  return std::nullopt;
}

/// A schedule under way: each stage takes its actions in its order, as soon as what they need is done.
class Run {
 public:
  explicit Run(const Schedule& schedule);
  std::vector<ScheduleProof::Step> to_the_end();

 private:
  static constexpr size_t kNever = static_cast<size_t>(-1);

  bool at_end(int stage) const { return next_[stage] == schedule_.stages[stage].size(); }
  StageAction next(int stage) const { return {stage, schedule_.stages[stage][next_[stage]]}; }
  size_t& when_done(const StageAction& step) {
    const auto& [kind, micro_batch, chunk] = step.action;
    const int kinds = step.stage * Action::kNumKinds + static_cast<int>(kind);
    return when_done_[(kinds * schedule_.num_chunks + chunk) * schedule_.num_micro_batches + micro_batch];
  }
  void refuse_foreign(const StageAction& step) const;
  bool take_next(int stage);
  void mark_done(const StageAction& step);
  void refuse_gaps();
  bool stands_ahead(const StageAction& step) const;
  [[noreturn]] void explain_standstill(int stage);

  const Schedule& schedule_;
  std::vector<ScheduleProof::Step> order_;
  std::vector<size_t> next_;       ///< index of each stage's next action
  std::vector<size_t> when_done_;  ///< by stage, kind, chunk, micro-batch
};

Run::Run(const Schedule& schedule)
    : schedule_(schedule),
      next_(schedule.num_stages, 0),
      when_done_(size_t{Action::kNumKinds} * schedule.num_virtual_stages() * schedule.num_micro_batches,
                 kNever) {
  TRIREME_ASSERT(schedule.stages.size() == next_.size(), "a schedule lists every stage");
  for (int stage = 0; stage < schedule.num_stages; ++stage)
    for (const Action& action : schedule.stages[stage]) refuse_foreign({stage, action});
}

void Run::refuse_foreign(const StageAction& step) const {
  const auto& [stage, action] = step;
  if (action.micro_batch < 0 || action.micro_batch >= schedule_.num_micro_batches || action.chunk < 0 ||
      action.chunk >= schedule_.num_chunks)
    fail(step, fmt::format("is outside {} micro-batches x {} chunks", schedule_.num_micro_batches,
                           schedule_.num_chunks));
  if (!is_transfer(action.kind)) return;
  const StageAction other = other_end(schedule_, stage, action);
  if (other.stage < 0 || other.stage == stage || other.action.chunk >= schedule_.num_chunks)
    fail(step, "has no other stage at its end");
}

void Run::mark_done(const StageAction& step) {
  auto [stage, action] = step;
  const bool whole = action.kind == Kind::kBackward;
  if (whole) action.kind = Kind::kBackwardInput;
  if (when_done({stage, action}) != kNever) fail(step, "stands twice");
  when_done({stage, action}) = order_.size();
  if (whole) mark_done({stage, {Kind::kBackwardWeight, action.micro_batch, action.chunk}});
}

bool Run::take_next(int stage) {
  if (at_end(stage)) return false;
  const StageAction step = next(stage);
  const auto need = need_of(schedule_, step);
  const size_t after = need ? when_done(*need) : order_.size();
  if (after == kNever) return false;
  mark_done(step);
  order_.push_back({stage, next_[stage]++, after});
  return true;
}

std::vector<ScheduleProof::Step> Run::to_the_end() {
  for (bool moved = true; moved;) {
    moved = false;
    for (int stage = 0; stage < schedule_.num_stages; ++stage)
      while (take_next(stage)) moved = true;
  }
  for (int stage = 0; stage < schedule_.num_stages; ++stage)
    if (!at_end(stage)) explain_standstill(stage);
  refuse_gaps();
  return std::move(order_);
}

void Run::refuse_gaps() {
  for (int stage = 0; stage < schedule_.num_stages; ++stage)
    for (int chunk = 0; chunk < schedule_.num_chunks; ++chunk)
      for (int i = 0; i < schedule_.num_micro_batches; ++i)
        for (const Kind kind : {Kind::kForward, Kind::kBackwardInput, Kind::kBackwardWeight})
          if (const StageAction step{stage, {kind, i, chunk}}; when_done(step) == kNever)
            fail(step, "is missing");
}

/// Follows who waits for whom, to a need that no stage will ever fill, or around a circle.
void Run::explain_standstill(int stage) {
  StageAction need = *need_of(schedule_, next(stage));
  for (int i = 0; i < schedule_.num_stages && need.stage != stage && stands_ahead(need); ++i) {
    stage = need.stage;
    need = *need_of(schedule_, next(stage));
  }
  fail(next(stage), fmt::format("waits for ever for {} of stage {}", describe(need.action), need.stage));
}

bool Run::stands_ahead(const StageAction& step) const {
  const auto& actions = schedule_.stages[step.stage];
  return std::find(actions.begin() + next_[step.stage], actions.end(), step.action) != actions.end();
}

ScheduleProof::Peak peak_of(const std::vector<Action>& actions) {
  ScheduleProof::Peak live{0, 0}, peak{0, 0};
  for (const auto& [kind, micro_batch, chunk] : actions) {
    const int begins = kind == Kind::kForward, whole = kind == Kind::kBackward;
    live.until_backward += begins - whole - (kind == Kind::kBackwardInput);
    live.until_weight += begins - whole - (kind == Kind::kBackwardWeight);
    peak.until_backward = std::max(peak.until_backward, live.until_backward);
    peak.until_weight = std::max(peak.until_weight, live.until_weight);
  }
  return peak;
}

}  // namespace

ScheduleProof check_schedule(const Schedule& schedule) {
  ScheduleProof proof{Run(schedule).to_the_end(), {}};
  for (const auto& actions : schedule.stages) proof.peaks.push_back(peak_of(actions));
  return proof;
}

}  // namespace trireme
