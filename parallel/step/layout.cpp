#include "parallel/step/layout.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>

#include "core/base/error.h"
#include "core/nn/plain_layer_builder.h"
#include "parallel/pipeline/schedule_timing.h"
#include "parallel/tensor_parallel/split.h"

namespace trireme {
namespace {

/// The model as one rank would build it: its parameters have shapes and no memory.
std::unique_ptr<Model> whole_model(const ModelConfig& config) {
  Context context;
  nn::PlainLayerBuilder builder;
  return make_model(config, builder);
}

void check_row_shards(const RankOptions& options) {
  const int64_t ranks = options.parallel.tensor_model_parallel_size;
  const int64_t rows = options.micro_batch_size * options.seq_length;
  if (!options.parallel.sequence_parallel) return;
  if (ranks == 1)
    throw ConfigError(
        "parallel.sequence_parallel: given true, expected false with tensor_model_parallel_size 1: it "
        "divides rows over the tensor ranks");
  if (rows % ranks != 0)
    throw ConfigError(
        fmt::format("parallel.sequence_parallel: micro_batch_size {} x seq_length {} = {} rows do not divide "
                    "over {} tensor ranks; take a micro_batch_size that is a multiple of {}",
                    options.micro_batch_size, options.seq_length, rows, ranks, ranks));
}

/// "9 | 9", or "3 + 2 | 3 + 1" with chunks: the layers of every stage.
std::string layers_of(const StagePlan& plan, const Model& model) {
  std::vector<std::string> stages;
  for (int stage = 0; stage < plan.num_stages; ++stage) {
    std::vector<size_t> chunks;
    for (int chunk = 0; chunk < plan.num_chunks; ++chunk) {
      const auto [begin, end] = plan.blocks[static_cast<size_t>(plan.virtual_stage(stage, chunk))];
      chunks.push_back(static_cast<size_t>(
          std::count_if(model.blocks().begin() + static_cast<std::ptrdiff_t>(begin),
                        model.blocks().begin() + static_cast<std::ptrdiff_t>(end),
                        [](const auto& block) { return block->kind() == BlockKind::kLayer; })));
    }
    stages.push_back(fmt::format("{}", fmt::join(chunks, " + ")));
  }
  return fmt::format("{}", fmt::join(stages, " | "));
}

}  // namespace

std::vector<std::string> layout_errors(const RankOptions& options, int64_t num_micro_batches) {
  std::vector<std::string> errors;
  const auto attempt = [&](const std::function<void()>& check) {
    try {
      check();
    } catch (const ConfigError& error) {
      errors.push_back(error.what());
    }
  };
  const ParallelConfig& parallel = options.parallel;
  attempt([&] { make_schedule(parallel, num_micro_batches); });
  const auto ranks = static_cast<int>(parallel.tensor_model_parallel_size);
  const bool splits = family_named(options.model.family).splits_over_tensor_ranks;
  if (ranks > 1 && !splits)
    errors.push_back(
        fmt::format("parallel.tensor_model_parallel_size: given {}, expected 1 with model.family {}, whose "
                    "layers are not split over ranks; use pipeline and data ranks",
                    ranks, options.model.family));
  if (ranks > 1 && splits) {
    attempt([&] { check_heads(options.model.num_attention_heads, options.model.num_query_groups, ranks); });
    attempt([&] { even_part("model.ffn_hidden_size", options.model.ffn_hidden_size, 0, ranks); });
    attempt([&] { even_part("model.vocab_size", options.model.vocab_size, 0, ranks); });
  }
  attempt([&] { check_row_shards(options); });
  attempt([&] { plan_stages(*whole_model(options.model), parallel, options.seq_length); });
  return errors;
}

std::string describe_layout(const RankOptions& options, int world_size) {
  const ParallelConfig& parallel = options.parallel;
  const MeshShape shape = MeshShape::make(parallel, world_size);
  std::string text =
      fmt::format("tensor {}{} x pipeline {} x data {}{}", shape.size(Axis::kTensor),
                  parallel.sequence_parallel ? " (sequence parallel)" : "", shape.size(Axis::kPipeline),
                  shape.size(Axis::kData), parallel.zero_stage > 0 ? " (ZeRO-1)" : "");
  if (shape.size(Axis::kPipeline) == 1) return text;
  const std::unique_ptr<Model> model = whole_model(options.model);
  const StagePlan plan = plan_stages(*model, parallel, options.seq_length);
  const StepSamples samples{options.global_batch_size, options.micro_batch_size, shape.size(Axis::kData)};
  const Schedule schedule = make_schedule(parallel, samples.num_micro_batches());
  const std::vector<ActionCosts> costs(static_cast<size_t>(plan.num_virtual_stages()), {1, 1, 1});
  return text + fmt::format("; {} over {} micro-batches, layers {}, bubble of equal stages {:.1f} %",
                            name_of(parallel.pipeline_schedule), schedule.num_micro_batches,
                            layers_of(plan, *model), 100 * bubble_fraction(time_schedule(schedule, costs)));
}

}  // namespace trireme
