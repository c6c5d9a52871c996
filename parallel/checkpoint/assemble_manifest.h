#pragma once

#include <vector>

#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/save_plan.h"
#include "parallel/checkpoint/shard_writer.h"

namespace trireme::checkpoint {

/// The manifest of a step whose shards are written: all but the index. `reports`: by rank.
Manifest assemble_manifest(const TrainingState& state, const SavePlan& plan,
                           const std::vector<ShardReport>& reports);

}  // namespace trireme::checkpoint
