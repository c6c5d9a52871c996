#pragma once

#include <map>
#include <string>
#include <vector>

#include "parallel/pipeline/schedule.h"

namespace trireme {

/// What one rank did, or would do: from `time_schedule`, or measured. A receive lasts from the moment the
/// rank begins to wait.
struct TimelineEvent {
  int rank;
  int stage;  ///< of the rank
  Action action;
  double begin, end;  ///< seconds since a start that all ranks share
};
using Timeline = std::vector<TimelineEvent>;

struct TimeSpan {
  double begin = 0, end = 0;
  double seconds() const { return end - begin; }
};
/// From the first begin to the last end; zeros for no events.
TimeSpan span_of(const Timeline& timeline);
/// The stage of every rank that did something.
std::map<int, int> stages_of(const Timeline& timeline);
/// The share of (ranks x span) in which no forward and no backward runs; 0 for no events.
double bubble_fraction(const Timeline& timeline);

/// A picture that stands alone: one row for each rank, colours by kind, paler for later chunks, numbers of
/// micro-batches where they fit; sends and receives are thin bars. Readable on light and dark paper.
std::string to_svg(const Timeline& timeline);

/// Trace events ("ph": "X", microseconds; one thread for each rank) for Perfetto or chrome://tracing.
std::string to_chrome_trace(const Timeline& timeline);

}  // namespace trireme
