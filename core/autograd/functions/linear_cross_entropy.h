#pragma once

#include "core/autograd/functions/token_loss.h"
#include "core/autograd/parameter.h"

namespace trireme {

/// The head: softmax cross-entropy of logits = hidden W^T (+ bias) against targets, in chunks of rows, so
/// that neither the logits nor their gradient exist at once. hidden [rows, D], weight [V, D], targets int32
/// (rows in all, ops::kIgnoredTarget counts nothing: where most rows are ignored, they are not multiplied
/// either).
///
/// With a graph, each chunk's gradients (d_hidden = dL W, dW += dL^T hidden) are made in the forward pass
/// while its logits are there: the gradient of the scaled loss is 1 by definition, and backward throws when
/// it is given another one. So a forward pass with a graph changes the gradient of `weight`. Unfused
/// composition: linear, then ops::softmax_cross_entropy.
TokenLoss linear_cross_entropy(Context& context, const Variable& hidden, Parameter& weight,
                               const Tensor& targets, double loss_scale,
                               const TokenLossOptions& options = {});

}  // namespace trireme
