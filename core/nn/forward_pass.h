#pragma once

#include <string>

#include "core/data/batch.h"
#include "core/nn/recompute.h"
#include "core/ops/dropout.h"

namespace trireme {

class KeyValueCache;  // core/nn/key_value_cache.h

/// What a pass over one micro-batch needs beside its Variables. Lives as long as the pass and its backward.
struct ForwardPass {
  const Batch& batch;
  uint64_t seed = 0;        ///< of dropout
  int64_t step = 0;         ///< of dropout
  double loss_scale = 1.0;  ///< multiplies the summed loss and so every gradient: 1 / (targets of the global
                            ///< batch)
  RecomputeOptions recompute = {};
  KeyValueCache* cache = nullptr;  ///< cached generation

  /// Filled by the head: sum of the token losses and how many they are, unscaled.
  double loss_sum = 0;
  int64_t loss_count = 0;

  /// Index of each token inside its sample's window, int32 [B, T]: a coordinate of dropout. Unlike
  /// batch.positions it does not restart with a document. Made at the first use.
  Tensor window_positions = {};
  /// Both coordinates of dropout for the rows of this rank's shard, [rows] and [rows, 1].
  Tensor shard_sample_ids = {}, shard_positions = {};
};

namespace nn {

/// The rows of the residual stream that a rank holds: part `index` of `count` equal ones of the [B*T] rows
/// (sequence parallelism).
struct RowShard {
  int64_t index = 0;
  int64_t count = 1;

  /// This shard's part of a contiguous tensor with one element a row, as [rows].
  Tensor of(const Tensor& per_row) const;
};

/// Dropout at `site` (the logical name of the module) on a shard of the rows of this pass; probability 0
/// outside training.
ops::DropoutOptions dropout_options(Context& context, ForwardPass& pass, double probability,
                                    const std::string& site, const RowShard& shard = {});

}  // namespace nn
}  // namespace trireme
