#include "core/autograd/functions/linear_cross_entropy.h"

#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/gemm.h"
#include "core/ops/reduce.h"

namespace trireme {

TokenLoss linear_cross_entropy(Context& context, const Variable& hidden, Parameter& weight,
                               const Tensor& targets, double loss_scale, int64_t chunk_bytes) {
  const Tensor& x = hidden.value();
  const int64_t vocab_size = weight.shape[0];
  const DType master = ops::wide_dtype(x.dtype());
  const Tensor flat_targets = targets.reshape({x.rows()});
  const bool graph = Function::needed(context, {hidden}, true);
  Tensor d_hidden = graph && hidden.requires_grad() ? context.activation(x.shape(), x.dtype()) : Tensor();
  const std::vector<RowChunk> chunks = row_chunks(x.rows(), vocab_size * size_of(x.dtype()), chunk_bytes);

  TokenLoss loss;
  const auto run = [&](Tensor* d_weight, bool accumulate) {
    for (const RowChunk& chunk : chunks) {
      const Tensor rows = x.slice(0, chunk.begin, chunk.num_rows);
      Tensor logits = Tensor::allocate_padded(context.allocator, {chunk.num_rows, vocab_size}, x.dtype(),
                                              MemoryCategory::kWorkspace);
      Tensor losses = context.workspace({chunk.num_rows}, master);
      ops::gemm(context, rows, weight.value, logits, {.transpose_b = true});
      ops::softmax_cross_entropy(context, logits, flat_targets.slice(0, chunk.begin, chunk.num_rows), losses,
                                 d_weight == nullptr ? nullptr : &loss_scale);
      loss.sum += ops::sum(context, losses);
      if (d_weight == nullptr) continue;
      ops::gemm(context, logits, rows, *d_weight, {.transpose_a = true, .accumulate = accumulate});
      accumulate = true;
      if (!d_hidden.defined()) continue;
      Tensor d_rows = d_hidden.slice(0, chunk.begin, chunk.num_rows);
      ops::gemm(context, logits, weight.value, d_rows);
    }
  };
  if (graph) {
    weight.expect();
    weight.contribute([&](Tensor& d_weight, bool accumulate) { run(&d_weight, accumulate); });
  } else {
    run(nullptr, false);
  }
  loss.count = count_targets(flat_targets);
  record_scaled_loss(context, loss, loss_scale, hidden, graph, std::move(d_hidden));
  return loss;
}

}  // namespace trireme
