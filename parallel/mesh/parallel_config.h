#pragma once

#include "core/base/fields.h"

namespace trireme {

/// Section `parallel`.
struct ParallelConfig {
  int64_t tensor_model_parallel_size = 1;
  int64_t pipeline_model_parallel_size = 1;
  int64_t context_parallel_size = 1;
  int64_t expert_model_parallel_size = 1;
  double bucket_size_mb = 25;                ///< of gradient buckets, MB
  double distributed_timeout_seconds = 600;  ///< deadline of every wait on another rank

  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
