#include "launcher/train/evaluation.h"

#include "core/metrics/perplexity.h"
#include "launcher/train/validation_batches.h"

namespace trireme {

std::optional<double> accuracy_of(const LossSum& loss) {
  if (loss.count == 0) return std::nullopt;
  return static_cast<double>(loss.right) / static_cast<double>(loss.count);
}

std::optional<double> perplexity_of(const EvaluationResult& result) {
  const LossSum& tokens = result.losses[LossTerm::kTokens];
  if (tokens.count == 0) return std::nullopt;
  return perplexity(tokens.sum / static_cast<double>(tokens.count));
}

std::map<std::string, double> metrics_of(const EvaluationResult& result) {
  const auto accuracy = [&](LossTerm term) { return accuracy_of(result.losses[term]).value_or(0); };
  return {{"validation_loss", result.loss},
          {"validation_token_accuracy", accuracy(LossTerm::kTokens)},
          {"validation_sample_accuracy", accuracy(LossTerm::kSamples)}};
}

EvaluationResult evaluate(Context& context, PipelineEngine& engine, Mesh& mesh, const SampleSource& source,
                          int64_t micro_batch_size, int64_t max_batches) {
  ValidationBatches batches(source, mesh, micro_batch_size, max_batches);
  const PerTerm<LossSum> share =
      engine.evaluate(batches.num_batches(), [&] { return batches.next(context.allocator); });
  constexpr int64_t kNumbers = 3;  // of a term
  Tensor totals = context.zeros({kNumbers * kNumLossTerms}, DType::kFloat64, MemoryCategory::kWorkspace);
  double* total = totals.data<double>();
  for (const LossSum& loss : share) {
    *total++ = loss.sum;
    *total++ = static_cast<double>(loss.count);
    *total++ = static_cast<double>(loss.right);
  }
  mesh.world().all_reduce(totals, ReduceOp::kSum);
  total = totals.data<double>();
  EvaluationResult result;
  for (LossSum& loss : result.losses) {
    loss = {total[0], static_cast<int64_t>(total[1]), static_cast<int64_t>(total[2])};
    if (loss.count > 0) result.loss += loss.sum / static_cast<double>(loss.count);
    total += kNumbers;
  }
  return result;
}

}  // namespace trireme
