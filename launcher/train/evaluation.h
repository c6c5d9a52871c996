#pragma once

#include <map>
#include <optional>
#include <string>

#include "core/data/sample_source.h"
#include "parallel/pipeline/engine.h"

namespace trireme {

struct EvaluationResult {
  double loss = 0;  ///< sum of the terms' means, nats
  PerTerm<LossSum> losses{};

  int64_t tokens() const { return losses[LossTerm::kTokens].count; }
};

/// The part of what was counted that was right; nothing where nothing was counted.
std::optional<double> accuracy_of(const LossSum& loss);
/// Of the tokens' mean loss; nothing where none was counted.
std::optional<double> perplexity_of(const EvaluationResult& result);

/// What early stopping may look at, by name. An accuracy without anything to count is 0.
std::map<std::string, double> metrics_of(const EvaluationResult& result);

/// Mean loss of the windows of `source`, each once, split over the data ranks of `mesh`; `max_batches` > 0
/// takes so many micro-batches a rank. Nothing is recorded and dropout is off. Collective over the world.
EvaluationResult evaluate(Context& context, PipelineEngine& engine, Mesh& mesh, const SampleSource& source,
                          int64_t micro_batch_size, int64_t max_batches);

}  // namespace trireme
