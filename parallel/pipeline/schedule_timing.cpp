#include "parallel/pipeline/schedule_timing.h"

#include <algorithm>

#include "core/base/check.h"
#include "parallel/pipeline/schedule_check.h"

namespace trireme {
namespace {

double seconds_of(Action::Kind kind, const ActionCosts& costs) {
  switch (kind) {
    case Action::Kind::kForward:
      return costs.forward;
    case Action::Kind::kBackward:
      return costs.backward_input + costs.backward_weight;
    case Action::Kind::kBackwardInput:
      return costs.backward_input;
    case Action::Kind::kBackwardWeight:
      return costs.backward_weight;
    default:
      return 0;
  }
}

}  // namespace

Timeline time_schedule(const Schedule& schedule, const std::vector<ActionCosts>& costs) {
  TRIREME_ASSERT(costs.size() == static_cast<size_t>(schedule.num_virtual_stages()),
                 "costs are given for every virtual stage");
  const auto costs_of = [&](int stage, const Action& action) -> const ActionCosts& {
    return costs[static_cast<size_t>(schedule.virtual_stage(stage, action.chunk))];
  };
  std::vector<double> clocks(static_cast<size_t>(schedule.num_stages), 0.0);
  Timeline timeline;
  for (const auto& [stage, index, after] : check_schedule(schedule).order) {
    const Action& action = schedule.stages[stage][index];
    double& clock = clocks[stage];
    const double begin = clock;
    clock += seconds_of(action.kind, costs_of(stage, action));
    if (is_receive(action.kind))
      clock = std::max(
          clock, timeline[after].end + costs_of(timeline[after].stage, timeline[after].action).transfer);
    timeline.push_back({stage, stage, action, begin, clock});
  }
  return timeline;
}

}  // namespace trireme
