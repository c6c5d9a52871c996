#include "parallel/pipeline/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace trireme {

TimeSpan span_of(const Timeline& timeline) {
  if (timeline.empty()) return {};
  TimeSpan span{timeline.front().begin, timeline.front().end};
  for (const TimelineEvent& event : timeline)
    span = {std::min(span.begin, event.begin), std::max(span.end, event.end)};
  return span;
}

std::map<int, int> stages_of(const Timeline& timeline) {
  std::map<int, int> stages;
  for (const TimelineEvent& event : timeline) stages[event.rank] = event.stage;
  return stages;
}

double bubble_fraction(const Timeline& timeline) {
  double work = 0;
  for (const TimelineEvent& event : timeline)
    if (!is_transfer(event.action.kind)) work += event.end - event.begin;
  const double whole = static_cast<double>(stages_of(timeline).size()) * span_of(timeline).seconds();
  return whole > 0 ? 1 - work / whole : 0;
}

std::string to_chrome_trace(const Timeline& timeline) {
  constexpr double kMicroseconds = 1e6;
  auto events = nlohmann::json::array();
  for (const auto& [rank, stage] : stages_of(timeline))
    events.push_back({{"ph", "M"},
                      {"name", "thread_name"},
                      {"pid", 0},
                      {"tid", rank},
                      {"args", {{"name", fmt::format("rank {}, stage {}", rank, stage)}}}});
  for (const auto& [rank, stage, action, begin, end] : timeline)
    events.push_back(
        {{"ph", "X"},
         {"name", fmt::format("{} {}", name_of(action.kind), action.micro_batch)},
         {"cat", name_of(action.kind)},
         {"pid", 0},
         {"tid", rank},
         {"ts", begin * kMicroseconds},
         {"dur", (end - begin) * kMicroseconds},
         {"args", {{"stage", stage}, {"micro_batch", action.micro_batch}, {"chunk", action.chunk}}}});
  return nlohmann::json{{"traceEvents", std::move(events)}, {"displayTimeUnit", "ms"}}.dump();
}

}  // namespace trireme
