#pragma once

#include <cstddef>
#include <vector>

#include "parallel/pipeline/schedule.h"

namespace trireme {

/// What `check_schedule` proves.
struct ScheduleProof {
  /// The action schedule.stages[stage][index].
  struct Step {
    int stage;
    size_t index;
    size_t
        after;  ///< the place in `order` of what it waited for (of a receive: its send), or its own: nothing
  };
  /// The most (micro-batch, chunk) that a stage holds at once.
  struct Peak {
    int until_backward;  ///< from forward to the end of backward or backward-input
    int until_weight;    ///< from forward to the end of backward or backward-weight
    bool operator==(const Peak&) const = default;
  };
  std::vector<Step> order;  ///< all actions as the stages could take them: each in its own order, sends first
  std::vector<Peak> peaks;  ///< of each stage
};

/// Proves that stages which buffer sends and block in receives can run a schedule: every forward and backward
/// stands once, on its stage, after what it needs; sends and receives join neighbouring virtual stages of
/// different stages, one to one; nobody waits for ever. Throws InternalError naming stage and action.
ScheduleProof check_schedule(const Schedule& schedule);

}  // namespace trireme
