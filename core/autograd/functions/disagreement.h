#pragma once

#include "core/autograd/variable.h"
#include "core/ops/disagreement.h"

namespace trireme {

/// Which columns of a matrix [B*T, ..] hold the heads: of values inside a packed projection, or all of head
/// outputs.
struct HeadColumns {
  int64_t num_samples = 0;
  int64_t first_column = 0;
  int64_t num_heads = 0;
  int64_t head_dim = 0;
};

/// The sum over the samples of core/ops/disagreement.h, shape [1], float32 (float64): a root of backward
/// whose gradient is minus its weight in the loss. `counted` int32 [B*T], optional. It compares heads of this
/// rank.
Variable head_disagreement(Context& context, const Variable& x, const HeadColumns& columns,
                           const Tensor& counted);

/// Of attention maps: `probabilities` [B, H, T, S] of scored_attention.
Variable map_disagreement(Context& context, const Variable& probabilities, const Tensor& counted);

}  // namespace trireme
