#include "parallel/mesh/parallel_config.h"

namespace trireme {

void ParallelConfig::fields(FieldVisitor& visitor) {
  visitor.visit({.name = "tensor_model_parallel_size",
                 .help = "Ranks that share each layer's matrices.",
                 .unit = "ranks",
                 .minimum = 1},
                tensor_model_parallel_size);
  visitor.visit({.name = "pipeline_model_parallel_size",
                 .help = "Ranks that share the layers, one stage each.",
                 .unit = "ranks",
                 .minimum = 1},
                pipeline_model_parallel_size);
  visitor.visit({.name = "context_parallel_size",
                 .help = "Ranks that share each sequence.",
                 .unit = "ranks",
                 .minimum = 1},
                context_parallel_size);
  visitor.visit({.name = "expert_model_parallel_size",
                 .help = "Ranks that share the experts.",
                 .unit = "ranks",
                 .minimum = 1},
                expert_model_parallel_size);
  visitor.visit({.name = "bucket_size_mb",
                 .help = "Size of the pieces in which gradients are reduced while backward runs.",
                 .unit = "MB",
                 .minimum = 0.001,
                 .maximum = 1e6},
                bucket_size_mb);
  visitor.visit({.name = "distributed_timeout_seconds",
                 .help = "How long a rank waits for another before it gives up with exit code 124.",
                 .unit = "s",
                 .minimum = 0.1,
                 .maximum = 1e6},
                distributed_timeout_seconds);
}

}  // namespace trireme
