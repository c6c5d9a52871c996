#pragma once

#include <string>
#include <vector>

#include "parallel/step/training_rank.h"

namespace trireme {

/// Every reason why this model cannot be trained in this layout, each with its arithmetic and what would
/// work; empty: it can. What MeshShape::make and StepSamples refuse is left to them: `num_micro_batches` is
/// theirs. Needs no ranks. `options.model` is resolved.
std::vector<std::string> layout_errors(const RankOptions& options, int64_t num_micro_batches);

/// For a person: the sizes of the axes, the layers of every stage, the schedule with the bubble it has when
/// every layer takes the same time (backward twice a forward), what is divided. The layout has no errors.
std::string describe_layout(const RankOptions& options, int world_size);

}  // namespace trireme
