#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

struct TokenLoss {
  Variable scaled;    ///< loss_scale * sum: shape [1], float32 (float64), root of backward with gradient 1
  double sum = 0;     ///< of the losses of the rows that count
  int64_t count = 0;  ///< how many they are
};

/// Bytes of logits that exist at a time. One chunk of 1024 rows of a 50304-word vocabulary in float32 fits;
/// smaller chunks make the products slower.
inline constexpr int64_t kLogitsChunkBytes = int64_t{256} << 20;

/// The head: softmax cross-entropy of logits = hidden W^T against targets, in chunks of rows, so that neither
/// the logits nor their gradient exist at once. hidden [rows, D], weight [V, D], targets int32 (rows in all,
/// ops::kIgnoredTarget counts nothing).
///
/// With a graph, each chunk's gradients (d_hidden = dL W, dW += dL^T hidden) are made in the forward pass
/// while its logits are there: the gradient of the scaled loss is 1 by definition, and backward throws when
/// it is given another one. So a forward pass with a graph changes the gradient of `weight`. Unfused
/// composition: linear, then ops::softmax_cross_entropy.
TokenLoss linear_cross_entropy(Context& context, const Variable& hidden, Parameter& weight,
                               const Tensor& targets, double loss_scale,
                               int64_t chunk_bytes = kLogitsChunkBytes);

}  // namespace trireme
