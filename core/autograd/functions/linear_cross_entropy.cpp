#include "core/autograd/functions/linear_cross_entropy.h"

#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/reduce.h"

namespace trireme {

TokenLoss linear_cross_entropy(Context& context, const Variable& hidden, Parameter& weight,
                               const Tensor& targets, double loss_scale, const TokenLossOptions& options) {
  const Tensor& x = hidden.value();
  const bool graph = Function::needed(context, {hidden}, true);
  const ops::TargetDistribution q = ops::target_distribution(options.smoothing, weight.shape[0]);
  Tensor d_hidden = graph && hidden.requires_grad() ? context.activation(x.shape(), x.dtype()) : Tensor();
  const auto loss_of = [&](Tensor& logits, const Tensor& row_targets, bool gradient) {
    Tensor losses = context.workspace({logits.rows()}, ops::wide_dtype(x.dtype()));
    ChunkLoss loss;
    loss.right =
        ops::softmax_cross_entropy(context, logits, row_targets, losses, gradient ? &loss_scale : nullptr, q);
    loss.sum = ops::sum(context, losses);
    return loss;
  };
  TokenLoss loss =
      chunked_loss(context, x, weight, options.bias, targets, weight.shape[0] * size_of(x.dtype()),
                   options.chunk_bytes, graph, d_hidden, loss_of);
  record_scaled_loss(context, loss, loss_scale, hidden, graph, std::move(d_hidden));
  return loss;
}

}  // namespace trireme
