#include "parallel/step/training_rank.h"

#include "core/nn/plain_layer_builder.h"
#include "parallel/tensor_parallel/tensor_layer_builder.h"

namespace trireme {
namespace {

std::unique_ptr<nn::LayerBuilder> make_builder(Mesh& mesh, const ParallelConfig& config) {
  if (mesh.tensor().size() == 1) return std::make_unique<nn::PlainLayerBuilder>();
  return std::make_unique<TensorLayerBuilder>(mesh.tensor(), config.sequence_parallel);
}

}  // namespace

TrainingRank::TrainingRank(Context& context, Communicator& world, const RankOptions& options)
    : mesh_(world, options.parallel),
      samples_{options.global_batch_size, options.micro_batch_size, mesh_.data().size()},
      builder_(make_builder(mesh_, options.parallel)),
      model_(make_gpt(context, options.model, *builder_)) {
  const ParallelConfig& parallel = options.parallel;
  const StagePlan plan = plan_stages(*model_, parallel, options.seq_length);
  place_shared_parameters(*model_, plan);
  const int stage = mesh_.coordinate(Axis::kPipeline);

  const ParameterLayout layout(stage_parameters(*model_, plan, stage), options.precision);
  store_ =
      std::make_unique<ParameterStore>(context, layout, std::vector<FlatRange>{{0, layout.num_elements()}},
                                       flat_memory(context, mesh_.data(), 0));
  store_->initialize(context, options.seed);
  optimizer_ = make_optimizer(context, options.optimizer, *store_);
  buckets_ = std::make_unique<GradientBuckets>(*store_, mesh_.data(),
                                               static_cast<int64_t>(parallel.bucket_size_mb * 1e6));

  Schedule schedule = make_schedule(parallel.pipeline_schedule, plan.num_stages, plan.num_chunks,
                                    static_cast<int>(samples_.num_micro_batches()));
  engine_ = std::make_unique<PipelineEngine>(context, mesh_, *model_, plan, std::move(schedule),
                                             options.precision.compute());
  step_ = std::make_unique<TrainStep>(context, mesh_, *engine_, *store_, *optimizer_, *buckets_,
                                      options.precision, options.step);
}

}  // namespace trireme
