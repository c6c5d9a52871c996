#include "core/autograd/functions/linear_cross_entropy.h"

#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/reduce.h"

namespace trireme {

TokenLoss linear_cross_entropy(Context& context, const Variable& hidden, Parameter& weight,
                               const Tensor& targets, double loss_scale, int64_t chunk_bytes) {
  const Tensor& x = hidden.value();
  const bool graph = Function::needed(context, {hidden}, true);
  Tensor d_hidden = graph && hidden.requires_grad() ? context.activation(x.shape(), x.dtype()) : Tensor();
  const auto loss_of = [&](Tensor& logits, const Tensor& row_targets, bool gradient) {
    Tensor losses = context.workspace({logits.rows()}, ops::wide_dtype(x.dtype()));
    ops::softmax_cross_entropy(context, logits, row_targets, losses, gradient ? &loss_scale : nullptr);
    return ops::sum(context, losses);
  };
  TokenLoss loss = chunked_loss(context, x, weight, targets, weight.shape[0] * size_of(x.dtype()),
                                chunk_bytes, graph, d_hidden, loss_of);
  record_scaled_loss(context, loss, loss_scale, hidden, graph, std::move(d_hidden));
  return loss;
}

}  // namespace trireme
