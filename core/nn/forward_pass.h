#pragma once

#include <string>

#include "core/data/batch.h"
#include "core/nn/recompute.h"
#include "core/ops/dropout.h"

namespace trireme {

class KeyValueCache;  // core/nn/key_value_cache.h

/// Sum of losses, how many they are, and how many of them were of a right answer.
struct LossSum {
  double sum = 0;
  int64_t count = 0;
  int64_t right = 0;

  LossSum& operator+=(const LossSum& other);
};

/// What a pass over one micro-batch needs beside its Variables. Lives as long as the pass and its backward.
struct ForwardPass {
  const Batch& batch;
  uint64_t seed = 0;  ///< of dropout
  int64_t step = 0;   ///< of dropout
  /// Multiplies the summed losses and so every gradient: 1 / (what counts in the global batch).
  PerTerm<double> loss_scale{1.0, 1.0, 1.0};
  RecomputeOptions recompute = {};
  KeyValueCache* cache = nullptr;  ///< cached generation

  PerTerm<LossSum> losses{};  ///< filled by the head, of disagreement by each layer; unscaled

  /// Made at the first use, for each sequence of the batch. Index of each token inside its sample's window,
  /// int32 [B, T]: a coordinate of dropout. Unlike batch.positions it does not restart with a document. Both
  /// coordinates of dropout for the rows of this rank's shard, [rows] and [rows, 1].
  struct Coordinates {
    Tensor window_positions, shard_sample_ids, shard_positions;
    Tensor counted;  ///< of counted_rows: int32 [B, T]
  };
  std::array<Coordinates, kNumSequences> coordinates{};
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

/// Dropout at `site` (the logical name of the module) on a shard of the rows of a sequence of this pass;
/// probability 0 outside training.
ops::DropoutOptions dropout_options(Context& context, ForwardPass& pass, double probability,
                                    const std::string& site, Sequence sequence, const RowShard& shard = {});

/// Which of the shard's rows of a sequence are no padding: int32 [rows], 1 or 0; undefined where none is.
Tensor counted_rows(Context& context, ForwardPass& pass, Sequence sequence, const RowShard& shard = {});

/// For every query of a sequence the end of the keys that are neither padding nor hidden, int32 [B, T];
/// undefined where none is.
Tensor key_end(Context& context, const Batch& batch, Sequence queries, Sequence keys);

}  // namespace nn
}  // namespace trireme
