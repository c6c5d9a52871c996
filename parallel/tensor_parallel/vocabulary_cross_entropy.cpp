#include "parallel/tensor_parallel/vocabulary_cross_entropy.h"

#include <cmath>

#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "parallel/mesh/planted_bug.h"

namespace trireme {
namespace {

/// Every row's log-sum-exp over the whole vocabulary, and the loss of the rows that count.
struct MergedRows {
  Tensor log_sum_exp;
  ChunkLoss loss;
};

template <class T>
MergedRows merge_rows(Context& context, RowExchange& exchange, const Tensor& logits, const Tensor& targets,
                      int64_t vocab_begin, const ops::TargetDistribution& q) {
  const int64_t rows = logits.rows(), num_statistics = q.smoothed() ? 4 : 3;
  const DType type = DTypeOf<T>::value;
  // The maximum first: the sums are scaled with it before they are added up.
  const Tensor staged = exchange.statistics(context, num_statistics * rows, type);
  Tensor maximum = staged.slice(0, 0, rows), exp_sum = staged.slice(0, rows, rows),
         target_logit = staged.slice(0, 2 * rows, rows);
  Tensor logit_sum = q.smoothed() ? staged.slice(0, 3 * rows, rows) : Tensor();
  Tensor local_maximum = context.workspace({rows}, type);
  ops::cross_entropy_statistics(context, logits, targets, vocab_begin, local_maximum, exp_sum, target_logit,
                                q.smoothed() ? &logit_sum : nullptr);
  std::copy_n(local_maximum.data<T>(), rows, maximum.data<T>());
  exchange.all_reduce(maximum, ReduceOp::kMax);
  T* const m = maximum.data<T>();
  T* const s = exp_sum.data<T>();
  for (int64_t i = 0; i < rows; ++i) s[i] *= std::exp(local_maximum.data<T>()[i] - m[i]);
  exchange.all_reduce(staged.slice(0, rows, (num_statistics - 1) * rows), ReduceOp::kSum);
  if (planted(Bug::kGatheredLogits))
    for (int64_t i = 0; i < rows; ++i) s[i] *= static_cast<T>(exchange.size());
  MergedRows merged{context.workspace({rows}, type), {}};
  T* const log_sum_exp = merged.log_sum_exp.data<T>();
  for (int64_t i = 0; i < rows; ++i) {
    log_sum_exp[i] = m[i] + std::log(s[i]);
    if (targets.data<int32_t>()[i] == ops::kIgnoredTarget) continue;
    const T target = target_logit.data<T>()[i];
    if (target >= m[i]) ++merged.loss.right;
    merged.loss.sum += q.smoothed() ? log_sum_exp[i] - (q.on_target - q.on_others) * target -
                                          q.on_others * logit_sum.data<T>()[i] - q.entropy
                                    : static_cast<double>(log_sum_exp[i] - target);
  }
  return merged;
}

}  // namespace

TokenLoss vocabulary_cross_entropy(Context& context, RowExchange& exchange, const Variable& hidden,
                                   Parameter& weight, int64_t vocab_begin, int64_t vocab_size,
                                   const Tensor& targets, double loss_scale,
                                   const TokenLossOptions& options) {
  const Tensor x = exchange.all_rows(context, hidden.value());
  const DType wide = ops::wide_dtype(x.dtype());
  const ops::TargetDistribution q = ops::target_distribution(options.smoothing, vocab_size);
  const bool graph = Function::needed(context, {hidden}, true);
  Tensor term = graph && hidden.requires_grad() ? exchange.term(context, x.rows(), x.cols(), wide) : Tensor();
  const auto merge = wide == DType::kFloat64 ? merge_rows<double> : merge_rows<float>;
  const auto loss_of = [&](Tensor& logits, const Tensor& row_targets, bool gradient) {
    const MergedRows merged = merge(context, exchange, logits, row_targets, vocab_begin, q);
    if (gradient)
      ops::cross_entropy_gradient(context, logits, row_targets, vocab_begin, merged.log_sum_exp, loss_scale,
                                  q);
    return merged.loss;
  };
  // Every rank cuts by the longest range of the vocabulary, so that all merge the same chunks.
  const int64_t longest = (vocab_size + exchange.size() - 1) / exchange.size();
  TokenLoss loss = chunked_loss(context, x, weight, options.bias, targets, longest * size_of(x.dtype()),
                                options.chunk_bytes, graph, term, loss_of);
  Tensor d_hidden = term.defined() ? exchange.sum(context, term, x.dtype()) : Tensor();
  record_scaled_loss(context, loss, loss_scale, hidden, graph, std::move(d_hidden));
  return loss;
}

}  // namespace trireme
