#include "parallel/tensor_parallel/vocabulary_cross_entropy.h"

#include <cmath>

#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/gemm.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {
namespace {

/// The log-sum-exp of every row over the whole vocabulary; adds the losses of the rows that count to `sum`.
template <class T>
Tensor merge_statistics(Context& context, RowExchange& exchange, const Tensor& logits, const Tensor& targets,
                        int64_t vocab_begin, double& sum) {
  const int64_t rows = logits.rows();
  const DType type = DTypeOf<T>::value;
  // The maximum first: the sums are scaled with it before they are added up.
  const Tensor staged = exchange.statistics(context, 3 * rows, type);
  Tensor maximum = staged.slice(0, 0, rows), exp_sum = staged.slice(0, rows, rows),
         target_logit = staged.slice(0, 2 * rows, rows);
  Tensor local_maximum = context.workspace({rows}, type);
  ops::cross_entropy_statistics(context, logits, targets, vocab_begin, local_maximum, exp_sum, target_logit);
  std::copy_n(local_maximum.data<T>(), rows, maximum.data<T>());
  exchange.all_reduce(maximum, ReduceOp::kMax);
  T* const m = maximum.data<T>();
  T* const s = exp_sum.data<T>();
  for (int64_t i = 0; i < rows; ++i) s[i] *= std::exp(local_maximum.data<T>()[i] - m[i]);
  exchange.all_reduce(staged.slice(0, rows, 2 * rows), ReduceOp::kSum);
  if (planted(Bug::kGatheredLogits))
    for (int64_t i = 0; i < rows; ++i) s[i] *= static_cast<T>(exchange.size());
  Tensor log_sum_exp = context.workspace({rows}, type);
  for (int64_t i = 0; i < rows; ++i) {
    log_sum_exp.data<T>()[i] = m[i] + std::log(s[i]);
    if (targets.data<int32_t>()[i] != ops::kIgnoredTarget)
      sum += static_cast<double>(log_sum_exp.data<T>()[i] - target_logit.data<T>()[i]);
  }
  return log_sum_exp;
}

}  // namespace

TokenLoss vocabulary_cross_entropy(Context& context, RowExchange& exchange, const Variable& hidden,
                                   Parameter& weight, int64_t vocab_begin, int64_t vocab_size,
                                   const Tensor& targets, double loss_scale, int64_t chunk_bytes) {
  const Tensor x = exchange.all_rows(context, hidden.value());
  const DType wide = ops::wide_dtype(x.dtype());
  const Tensor flat_targets = targets.reshape({x.rows()});
  const bool graph = Function::needed(context, {hidden}, true);
  Tensor term = graph && hidden.requires_grad() ? exchange.term(context, x.rows(), x.cols(), wide) : Tensor();
  // Every rank cuts by the longest range of the vocabulary, so that all merge the same chunks.
  const int64_t longest = (vocab_size + exchange.size() - 1) / exchange.size();
  const std::vector<RowChunk> chunks = row_chunks(x.rows(), longest * size_of(x.dtype()), chunk_bytes);

  TokenLoss loss;
  const auto run = [&](Tensor* d_weight, bool accumulate) {
    for (const RowChunk& chunk : chunks) {
      const Tensor rows = x.slice(0, chunk.begin, chunk.num_rows);
      const Tensor row_targets = flat_targets.slice(0, chunk.begin, chunk.num_rows);
      Tensor logits = Tensor::allocate_padded(context.allocator, {chunk.num_rows, weight.shape[0]}, x.dtype(),
                                              MemoryCategory::kWorkspace);
      ops::gemm(context, rows, weight.value, logits, {.transpose_b = true});
      const auto merge = wide == DType::kFloat64 ? merge_statistics<double> : merge_statistics<float>;
      const Tensor log_sum_exp = merge(context, exchange, logits, row_targets, vocab_begin, loss.sum);
      if (d_weight == nullptr) continue;
      ops::cross_entropy_gradient(context, logits, row_targets, vocab_begin, log_sum_exp, loss_scale);
      ops::gemm(context, logits, rows, *d_weight, {.transpose_a = true, .accumulate = accumulate});
      accumulate = true;
      if (!term.defined()) continue;
      Tensor d_rows = term.slice(0, chunk.begin, chunk.num_rows);
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
  Tensor d_hidden = term.defined() ? exchange.sum(context, term, x.dtype()) : Tensor();
  record_scaled_loss(context, loss, loss_scale, hidden, graph, std::move(d_hidden));
  return loss;
}

}  // namespace trireme
