#pragma once

#include "core/base/philox.h"
#include "core/tensor/context.h"

namespace trireme::ops {

/// Scaled dot-product attention, Vaswani et al. 2017, equation 1, computed block by block with an online
/// softmax (Dao et al. 2022): no [T, T] matrix is kept. Letters: B samples, T query positions, S key
/// positions, H query heads, G key-value heads (H a multiple of G: grouped-query attention, Ainslie et al.
/// 2023), K head dimension.
struct AttentionShape {
  int64_t num_samples = 0;       ///< B
  int64_t query_length = 0;      ///< T
  int64_t key_length = 0;        ///< S
  int64_t num_heads = 0;         ///< H
  int64_t num_query_groups = 0;  ///< G
  int64_t head_dim = 0;          ///< K
  int64_t key_capacity =
      0;  ///< rows from one sample's keys to the next one's; 0: key_length (a cache is longer)
};

/// Which keys a query may see: one interval [begin, end) of key indices per query, cut by causality. Covers
/// causal, padded, packed documents (begin = first key of the query's document) and sliding windows. A query
/// that sees nothing gives zeros, log-sum-exp -infinity and no gradient.
struct AttentionMask {
  bool causal = false;  ///< key index <= query index + query_offset
  int64_t query_offset =
      0;             ///< position of query 0 minus position of key 0 (cached generation, split sequences)
  Tensor key_begin;  ///< int32 [B, T], optional: 0
  Tensor key_end;    ///< int32 [B, T], optional: S
};

struct AttentionOptions {
  AttentionMask mask;
  double scale = 1.0;    ///< usually K^-1/2
  double dropout = 0.0;  ///< on the probabilities
  RandomKey dropout_key;
  Tensor sample_ids;        ///< int64 [B], global sample numbers; needed for dropout
  int64_t head_offset = 0;  ///< global index of head 0
  int64_t key_offset = 0;   ///< global position of key 0, for dropout on a split sequence
};

/// Throw ShapeError.
///
/// q [B*T, H*K], k and v [B*capacity, G*K], out [B*T, H*K]: rows may be strided (one packed projection).
/// log_sum_exp [B, H, T], float32 (float64 for float64 inputs): what another part of the keys needs to be
/// merged, and what backward needs.
void attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                       const Tensor& q, const Tensor& k, const Tensor& v, Tensor& out, Tensor& log_sum_exp);

/// Writes d_q, d_k, d_v (same shapes as q, k, v; may be column ranges of one tensor). log_sum_exp may be the
/// global one of a split sequence, with `out` the merged output. dS = P * (dP - sum(dP * P)), sum(dP * P) =
/// sum(d_out * out).
void attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                        const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& log_sum_exp, const Tensor& d_out, Tensor& d_q, Tensor& d_k,
                        Tensor& d_v);

}  // namespace trireme::ops
