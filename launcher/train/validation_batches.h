#pragma once

#include "core/data/sample_source.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// The validation samples of a rank, in micro-batches: data rank r takes samples r, r + ranks, r + 2 ranks,
/// ...
class ValidationBatches {
 public:
  /// `max_batches` > 0: so many at most. The source must outlive it.
  ValidationBatches(const SampleSource& source, Mesh& mesh, int64_t micro_batch_size, int64_t max_batches);

  int64_t num_batches() const { return num_batches_; }
  /// Called num_batches() times.
  Batch next(Allocator& allocator);

 private:
  const SampleSource& source_;
  int64_t micro_batch_size_, sample_, stride_, num_batches_ = 0;
};

}  // namespace trireme
