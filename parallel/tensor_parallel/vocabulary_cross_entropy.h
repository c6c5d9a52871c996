#pragma once

#include "core/autograd/functions/token_loss.h"
#include "core/autograd/parameter.h"
#include "parallel/functions/row_exchange.h"

namespace trireme {

/// linear_cross_entropy (core/autograd) on a vocabulary divided over the ranks: `weight` [V_r, D] holds the
/// entries from `vocab_begin` of `vocab_size` in all, options.bias [V_r] the same entries. hidden: all rows
/// or this rank's shard; targets int32, all rows.
///
/// In chunks of rows, the same on every rank, that exist one at a time: local logits, their maximum m_r, sum
/// of exponentials s_r and target's logit (with label smoothing the sum of the logits too); m = max m_r, s =
/// sum of s_r exp(m_r - m), so each rank has the log-sum-exp m + log s and the gradient of its logits, which
/// never leave it. The ranks' terms of d_hidden are added up in float32 (float64). The sums and counts are
/// whole on every rank.
TokenLoss vocabulary_cross_entropy(Context& context, RowExchange& exchange, const Variable& hidden,
                                   Parameter& weight, int64_t vocab_begin, int64_t vocab_size,
                                   const Tensor& targets, double loss_scale,
                                   const TokenLossOptions& options = {});

}  // namespace trireme
