#pragma once

#include "core/data/sample_source.h"
#include "core/models/model.h"
#include "parallel/comm/communicator.h"

namespace trireme {

struct EvaluationResult {
  double loss = 0;  ///< mean over the tokens, nats
  int64_t tokens = 0;
};

/// Mean loss of the windows of `source`, each once, split over the ranks of `data`; `max_batches` > 0 takes
/// so many micro-batches a rank. Nothing is recorded and dropout is off. Collective over `data`.
EvaluationResult evaluate(Context& context, Model& model, const SampleSource& source, Communicator& data,
                          int64_t micro_batch_size, int64_t max_batches);

}  // namespace trireme
