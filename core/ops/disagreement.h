#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// How much the heads of one attention differ: Li et al. 2018 (arXiv 1810.10183), section 3; to be maximised.
/// Per sample the mean over all H^2 ordered pairs of heads, each with itself included, so never above -1/H.
/// The sum over pairs of a_i . a_j is |sum of a_i|^2, so the cost is that of one pass, and heads that are
/// divided over ranks need the sum alone. Rows where `counted` (int32 [B*T], undefined: all count) is 0 are
/// left out. Computed in double. Throw ShapeError.

/// Of values (disagreement of subspaces) or of head outputs: -cos of the heads' vectors, averaged over the
/// rows that count. x [B*T, h*K], rows may be strided: h of the H heads. sums [B*T, K]: of their vectors of
/// length one. A vector of zeros is at right angles to all.
void head_disagreement_sums(Context& context, int64_t num_heads, const Tensor& x, Tensor& sums);
/// Of attention maps (attended positions): -sum of the products of two heads' probabilities [B, h, T, S],
/// over all queries that count. sums [B*T, S]: of their maps.
void map_disagreement_sums(Context& context, const Tensor& probabilities, Tensor& sums);

/// values float64 [B], of sums float64 over all H heads; averaged over the rows that count (heads), or added
/// up (maps).
enum class OverRows { kMean, kSum };
void disagreement_forward(Context& context, int64_t num_heads, const Tensor& sums, const Tensor& counted,
                          OverRows over_rows, Tensor& values);

/// d_x, of the h heads in x, = d_values[sample] times the derivative; written. num_heads: H.
void head_disagreement_backward(Context& context, int64_t num_heads, const Tensor& x, const Tensor& sums,
                                const Tensor& counted, const Tensor& d_values, Tensor& d_x);
/// d_probabilities [B, h, T, S], contiguous.
void map_disagreement_backward(Context& context, int64_t num_heads, const Tensor& sums, const Tensor& counted,
                               const Tensor& d_values, Tensor& d_probabilities);

}  // namespace trireme::ops
