#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/tensor_box.h"

namespace trireme::checkpoint {

/// Part of a held box that a rank writes: a range of its first dimension.
struct PlannedBox {
  size_t held = 0;  ///< index in this rank's held boxes
  Box box;          ///< in the tensor's coordinates
};

/// Who writes what. Every byte is written once.
struct SavePlan {
  std::vector<std::vector<PlannedBox>> ranks;  ///< by rank, in the order of its held boxes
  int64_t num_bytes = 0;                       ///< of tensors, all ranks together
  std::string hash;                            ///< of everything above: equal on every rank
};

/// A pure function of what each rank holds (the model and the mesh). Ranks that hold the same boxes are
/// replicas: the rows of those boxes, laid end to end, are cut into as many equal parts as there are
/// replicas, so R replicas write R times as fast and the number of pieces grows by R only. Boxes under 16 KiB
/// stay whole. It is proved that each tensor is covered exactly once; our own bug otherwise.
SavePlan plan_save(const std::vector<std::vector<TensorBox>>& held_by_rank);

}  // namespace trireme::checkpoint
