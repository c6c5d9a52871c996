#pragma once

#include <cstdint>

namespace trireme {

/// What backward makes again instead of keeping it.
/// - full: a layer keeps its input only and runs again as a whole (core/autograd/functions/recompute.h).
/// - selective: a layer drops what one pass over its elements makes again: the outputs of its norms and of
/// its
///   activation function, which the next linear layer needs for its weight gradient alone. (Megatron-LM's
///   selective drops the scores of attention, Korthikanti et al. 2022; here attention never keeps them.)
enum class RecomputeGranularity { kNone, kFull, kSelective };

struct RecomputeOptions {
  RecomputeGranularity granularity = RecomputeGranularity::kNone;
  int64_t num_layers = 0;  ///< the first ones of the model, as Megatron-LM's method `block`; 0: all

  /// What holds for the layer of this number in the whole model.
  RecomputeGranularity of_layer(int64_t layer) const {
    return num_layers == 0 || layer < num_layers ? granularity : RecomputeGranularity::kNone;
  }
};

}  // namespace trireme
