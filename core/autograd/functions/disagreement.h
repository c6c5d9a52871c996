#pragma once

#include <functional>

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

/// All the heads that are compared, where this rank has a part of them.
struct HeadsOfAllRanks {
  int64_t num_heads = 0;                                ///< 0: those of this rank
  int num_copies = 1;                                   ///< this many ranks have the same heads
  std::function<void(const Tensor& sums)> add_up = {};  ///< over the ranks, in place
};

/// The sum over the samples of core/ops/disagreement.h, shape [1], float32 (float64), the same on every rank:
/// a root of backward, which gives this rank's heads theirs. `counted` int32 [B*T], optional. Keeps sums of
/// [B*T, K] numbers in float64.
Variable head_disagreement(Context& context, const Variable& x, const HeadColumns& columns,
                           const Tensor& counted, const HeadsOfAllRanks& all = {});

/// Of attention maps: `probabilities` [B, H, T, S] of scored_attention. Keeps [B*T, S] numbers in float64.
Variable map_disagreement(Context& context, const Variable& probabilities, const Tensor& counted,
                          const HeadsOfAllRanks& all = {});

/// x as it is; in backward `term` [1], which joins the loss beside it, gets the gradient `weight`.
Variable joined(Context& context, const Variable& x, const Variable& term, double weight);

}  // namespace trireme
