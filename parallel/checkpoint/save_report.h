#pragma once

#include <cstdint>
#include <optional>

#include "core/base/error.h"

namespace trireme {

/// How a save ended. Step and error are the same on every rank; rank 0 alone knows the figures of a committed
/// save.
struct SaveReport {
  int64_t step = 0;
  std::optional<CheckpointError> error;  ///< of all ranks that failed; nothing: the step is committed
  double stall_seconds = 0;              ///< spent in the training thread
  double snapshot_seconds = 0;           ///< of the slowest rank; 0: nothing was copied, training waited
  double write_seconds = 0;              ///< of the slowest rank: layout, digests, write, fsync
  double commit_seconds = 0;             ///< from the start of the save to the commit
  int64_t tensor_bytes = 0;              ///< of the checkpoint: what snapshots hold
  int64_t file_bytes = 0;                ///< of shards and index
  int64_t replica_bytes = 0;             ///< held by several ranks and not written again
  int64_t num_skipped = 0;               ///< saves skipped so far, each because the one before was under way
};

}  // namespace trireme
