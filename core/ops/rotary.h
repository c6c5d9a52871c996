#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// Rotary position embedding, Su et al. 2021.
struct RotaryOptions {
  int64_t num_heads = 0;
  int64_t head_dim = 0;
  double theta = 10000.0;
  bool interleaved = false;  ///< pairs (2i, 2i+1) as in the paper; otherwise (i, i + K/2) as in Llama
};

/// Rotates every head of x [rows, num_heads * head_dim] in place by its row's position (int32, one per row).
/// Angles are computed in double. `inverse` turns the other way: the backward of the forward.
void rotary(Context& context, const RotaryOptions& options, const Tensor& positions, Tensor& x, bool inverse);

}  // namespace trireme::ops
