#include "parallel/tensor_parallel/vocabulary_cross_entropy.h"

#include <cmath>

#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {
namespace {

/// Every row's log-sum-exp over the whole vocabulary, and the sum of the losses of the rows that count.
struct MergedRows {
  Tensor log_sum_exp;
  double loss = 0;
};

template <class T>
MergedRows merge_rows(Context& context, RowExchange& exchange, const Tensor& logits, const Tensor& targets,
                      int64_t vocab_begin) {
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
  MergedRows merged{context.workspace({rows}, type)};
  T* const log_sum_exp = merged.log_sum_exp.data<T>();
  for (int64_t i = 0; i < rows; ++i) {
    log_sum_exp[i] = m[i] + std::log(s[i]);
    if (targets.data<int32_t>()[i] != ops::kIgnoredTarget)
      merged.loss += static_cast<double>(log_sum_exp[i] - target_logit.data<T>()[i]);
  }
  return merged;
}

}  // namespace

TokenLoss vocabulary_cross_entropy(Context& context, RowExchange& exchange, const Variable& hidden,
                                   Parameter& weight, int64_t vocab_begin, int64_t vocab_size,
                                   const Tensor& targets, double loss_scale, int64_t chunk_bytes) {
  const Tensor x = exchange.all_rows(context, hidden.value());
  const DType wide = ops::wide_dtype(x.dtype());
  const bool graph = Function::needed(context, {hidden}, true);
  Tensor term = graph && hidden.requires_grad() ? exchange.term(context, x.rows(), x.cols(), wide) : Tensor();
  const auto merge = wide == DType::kFloat64 ? merge_rows<double> : merge_rows<float>;
  const auto loss_of = [&](Tensor& logits, const Tensor& row_targets, bool gradient) {
    const MergedRows merged = merge(context, exchange, logits, row_targets, vocab_begin);
    if (gradient)
      ops::cross_entropy_gradient(context, logits, row_targets, vocab_begin, merged.log_sum_exp, loss_scale);
    return merged.loss;
  };
  // Every rank cuts by the longest range of the vocabulary, so that all merge the same chunks.
  const int64_t longest = (vocab_size + exchange.size() - 1) / exchange.size();
  TokenLoss loss = chunked_loss(context, x, weight, targets, longest * size_of(x.dtype()), chunk_bytes, graph,
                                term, loss_of);
  Tensor d_hidden = term.defined() ? exchange.sum(context, term, x.dtype()) : Tensor();
  record_scaled_loss(context, loss, loss_scale, hidden, graph, std::move(d_hidden));
  return loss;
}

}  // namespace trireme
