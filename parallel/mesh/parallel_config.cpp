#include "parallel/mesh/parallel_config.h"

namespace trireme {

void ParallelConfig::fields(FieldVisitor& visitor) {
  using ScheduleNames = std::pair<const char*, PipelineSchedule>;
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
  visitor.visit({.name = "sequence_parallel",
                 .help = "Norms, dropout and the residual stream divided by rows over the tensor ranks."},
                sequence_parallel);
  visitor.visit_choice(
      {.name = "pipeline_schedule", .help = "Order of forward and backward work in a pipeline."},
      pipeline_schedule, std::span<const ScheduleNames>(kPipelineScheduleNames));
  visitor.visit({.name = "virtual_pipeline_model_parallel_size",
                 .help = "Chunks of layers a stage holds; above 1 with pipeline_schedule interleaved only.",
                 .unit = "chunks",
                 .minimum = 1,
                 .maximum = 1024},
                virtual_pipeline_model_parallel_size);
  visitor.visit({.name = "pipeline_layout",
                 .help = "Layers of every virtual stage, in the order of the model; empty: balanced by cost.",
                 .unit = "layers",
                 .minimum = 0,
                 .maximum = 4096},
                pipeline_layout);
  visitor.visit(
      {.name = "zero_stage",
       .help = "What is divided over the data-parallel ranks: 0 nothing, 1 optimizer state and master "
               "weights (ZeRO).",
       .minimum = 0,
       .maximum = 1},
      zero_stage);
  visitor.visit({.name = "rank_order",
                 .help = "Mesh axes, the one of neighbouring ranks first: a permutation of tp-cp-ep-dp-pp."},
                rank_order);
  visitor.visit({.name = "replica_check_interval",
                 .help = "Compare replicated parameters bit by bit every so many steps; 0: never.",
                 .unit = "steps",
                 .minimum = 0,
                 .maximum = 1e12},
                replica_check_interval);
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
