#pragma once

#include "core/data/sample_source.h"
#include "core/metrics/classification.h"
#include "core/models/model.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// How often a classifier, whole on every rank, takes which class for which: of the samples that evaluate()
/// takes, summed over the ranks of `mesh`, which are data ranks. A label that no logit exceeds is right, as
/// accuracy counts. Collective.
ConfusionMatrix count_classes(Context& context, Model& model, Mesh& mesh, const SampleSource& source,
                              int64_t micro_batch_size, int64_t max_batches, int64_t num_classes);

}  // namespace trireme
