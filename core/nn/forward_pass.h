#pragma once

#include <string>

#include "core/data/batch.h"
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
  bool recompute = false;   ///< layers keep their inputs only and run again in backward
  KeyValueCache* cache = nullptr;  ///< cached generation

  /// Filled by the head: sum of the token losses and how many they are, unscaled.
  double loss_sum = 0;
  int64_t loss_count = 0;

  /// Index of each token inside its sample's window, int32 [B, T]: a coordinate of dropout. Unlike
  /// batch.positions it does not restart with a document. Made at the first use.
  Tensor window_positions = {};
};

namespace nn {

/// Dropout at `site` (the logical name of the module) for this pass; probability 0 outside training.
ops::DropoutOptions dropout_options(Context& context, ForwardPass& pass, double probability,
                                    const std::string& site);

}  // namespace nn
}  // namespace trireme
