#include "parallel/step/training_rank.h"

#include <fmt/format.h>

#include "core/nn/plain_layer_builder.h"
#include "parallel/mesh/planted_bug.h"
#include "parallel/tensor_parallel/tensor_layer_builder.h"

namespace trireme {
namespace {

std::unique_ptr<nn::LayerBuilder> make_builder(Mesh& mesh, const ParallelConfig& config) {
  SumOverRanks sum_over_data;
  if (mesh.data().size() > 1)
    sum_over_data = [&data = mesh.data()](Tensor& sums) { data.all_reduce(sums, ReduceOp::kSum); };
  if (mesh.tensor().size() == 1)
    return std::make_unique<nn::PlainLayerBuilder>(nn::RowShard(), std::move(sum_over_data));
  return std::make_unique<TensorLayerBuilder>(mesh.tensor(), config.sequence_parallel,
                                              std::move(sum_over_data));
}

/// kStageLocalLayerNumbers: gives a stage's first layer (block `block`) the initial weights of layer 0.
void initialize_as_layer_zero(Context& context, ParameterStore& store, size_t block, uint64_t seed) {
  const auto rename = [&](const std::string& from, const std::string& to) {
    for (Parameter* parameter : store.parameters())
      for (ParameterPiece& piece : parameter->pieces)
        if (piece.name.starts_with(from)) piece.name.replace(0, from.size(), to);
  };
  const std::string name = fmt::format("layers.{}.", static_cast<int64_t>(block) - 1);
  rename(name, "layers.0.");
  store.initialize(context, seed);
  rename("layers.0.", name);
}

}  // namespace

TrainingRank::TrainingRank(Context& context, Communicator& world, const RankOptions& options)
    : mesh_(world, options.parallel),
      samples_{options.global_batch_size, options.micro_batch_size, mesh_.data().size()},
      builder_(make_builder(mesh_, options.parallel)),
      model_(make_model(options.model, *builder_)) {
  const ParallelConfig& parallel = options.parallel;
  const StagePlan plan = plan_stages(*model_, parallel, options.seq_length);
  Schedule schedule = make_schedule(parallel, samples_.num_micro_batches());
  mesh_.make_stage_groups(place_shared_parameters(*model_, plan));
  const int stage = mesh_.coordinate(Axis::kPipeline);

  const ParameterLayout layout(stage_parameters(*model_, plan, stage), options.precision);
  const std::vector<FlatRange> ranges =
      plan_buckets(layout, static_cast<int64_t>(parallel.bucket_size_mb * 1e6));
  store_ = std::make_unique<ParameterStore>(
      context, layout, owned_ranges(ranges, mesh_.data().rank(), mesh_.data().size(), parallel.zero_stage),
      flat_memory(context, mesh_.data(), parallel.zero_stage));
  store_->initialize(context, options.seed);
  store_->hold(context, stage_buffers(*model_, plan, stage));
  if (planted(Bug::kStageLocalLayerNumbers) && stage > 0)
    initialize_as_layer_zero(context, *store_, plan.blocks[static_cast<size_t>(stage)].first, options.seed);
  optimizer_ = make_optimizer(context, options.optimizer, *store_);
  buckets_ = std::make_unique<GradientBuckets>(*store_, mesh_, ranges, parallel.zero_stage);

  engine_ = std::make_unique<PipelineEngine>(context, mesh_, *model_, plan, std::move(schedule),
                                             options.precision.compute());
  step_ = std::make_unique<TrainStep>(context, mesh_, *engine_, *store_, *optimizer_, *buckets_,
                                      options.precision, options.step);
}

void TrainingRank::exchange_average(Context& context) {
  trireme::exchange_average(context, *store_, *optimizer_->average());
  buckets_->gather_values();
}

}  // namespace trireme
