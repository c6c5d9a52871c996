#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// How much the heads of one attention differ: Li et al. 2018 (arXiv 1810.10183), section 3; to be maximised.
/// Per sample the mean over all H^2 ordered pairs of heads, each with itself included, so never above -1/H.
/// Since sum over pairs of a_i . a_j = |sum of a_i|^2, the cost is that of one pass. Rows where `counted`
/// (int32 [B*T], undefined: all count) is 0 are left out. Computed in double. Throw ShapeError.

/// Of values (disagreement of subspaces) or of head outputs: -cos of the heads' vectors, averaged over the
/// rows that count. x [B*T, H*K], rows may be strided; values float64 [B]. A vector of zeros is at right
/// angles to all.
void head_disagreement_forward(Context& context, int64_t num_heads, const Tensor& x, const Tensor& counted,
                               Tensor& values);
/// d_x = d_values[sample] times the derivative; written.
void head_disagreement_backward(Context& context, int64_t num_heads, const Tensor& x, const Tensor& counted,
                                const Tensor& d_values, Tensor& d_x);

/// Of attention maps (attended positions): -sum of the products of two heads' probabilities [B, H, T, S],
/// over all queries that count. d_probabilities is contiguous as probabilities are.
void map_disagreement_forward(Context& context, const Tensor& probabilities, const Tensor& counted,
                              Tensor& values);
void map_disagreement_backward(Context& context, const Tensor& probabilities, const Tensor& counted,
                               const Tensor& d_values, Tensor& d_probabilities);

}  // namespace trireme::ops
