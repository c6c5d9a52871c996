#pragma once

#include <vector>

#include "parallel/pipeline/timeline.h"

namespace trireme {

/// Seconds that one micro-batch takes in one virtual stage. A whole backward takes the sum of its parts.
struct ActionCosts {
  double forward;
  double backward_input;
  double backward_weight;
  double transfer = 0;  ///< from the end of a send of this virtual stage to its arrival; nobody works on it
};

/// Begin and end of every action when each starts as soon as it can; rank r is stage r. `costs`: one entry
/// for each virtual stage. Throws like check_schedule.
Timeline time_schedule(const Schedule& schedule, const std::vector<ActionCosts>& costs);

}  // namespace trireme
