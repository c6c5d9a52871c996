#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/tensor_box.h"

namespace trireme::checkpoint {

/// Part of a held box that a rank writes.
struct PlannedBox {
  size_t held = 0;    ///< index in this rank's held boxes
  size_t tensor = 0;  ///< index in SavePlan::tensors
  Box box;            ///< in the tensor's coordinates
};

/// Ranks that hold the same boxes: their numbers must be equal.
struct Replicas {
  std::vector<size_t> ranks;              ///< ascending, two or more
  std::vector<std::vector<size_t>> held;  ///< for each rank, indices in its held boxes, box by box
};

/// Who writes what. Every byte is written once.
struct SavePlan {
  std::vector<std::vector<TensorBox>> held;    ///< by rank
  std::vector<LogicalTensor> tensors;          ///< all of them, in the model's order
  std::vector<std::vector<PlannedBox>> ranks;  ///< by rank, in the order of its held boxes
  std::vector<Replicas> replicas;              ///< no box is in two of them
  int64_t num_bytes = 0;                       ///< of tensors, all ranks together
  std::string hash;                            ///< of everything above: equal on every rank
};

/// A pure function of what each rank holds, in any layout, and of the order of the model's tensors (see
/// logical_tensors, also for the error). Where boxes of two ranks overlap without being equal (shards of an
/// optimizer state whose weights two stages hold), the one that begins first has what is shared. Ranks that
/// hold the same boxes are replicas: the rows of what they write, laid end to end, are cut into as many equal
/// parts as there are replicas, so R replicas write R times as fast and the number of pieces grows by R only.
/// Boxes under 16 KiB stay whole. It is proved that each tensor is covered exactly once; our own bug
/// otherwise.
SavePlan plan_save(std::vector<std::vector<TensorBox>> held_by_rank, const std::vector<std::string>& names);

}  // namespace trireme::checkpoint
