#include "launcher/train/memory_estimate.h"

#include <fmt/format.h>
#include <sys/sysinfo.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/optim/optimizer.h"
#include "launcher/train/console.h"
#include "parallel/pipeline/schedule_check.h"

namespace trireme {
namespace {

/// The most (micro-batch, chunk) that a stage holds at once.
int most_under_way(const ParallelConfig& parallel, const BatchPlan& batch) {
  int most = 0;
  for (const ScheduleProof::Peak& peak : check_schedule(make_schedule(parallel, batch.micro_batches)).peaks)
    most = std::max(most, peak.until_weight);
  return most;
}

/// What a layer keeps for backward, in numbers a token of the compute type: `cheap` is what it makes again
/// with recompute_granularity selective. What a layer makes again it holds for a moment.
struct LayerNumbers {
  int64_t dear, cheap;
};

/// The table of core/models/README.md.
LayerNumbers of_transformer(const ModelConfig& model) {
  const int64_t heads = model.num_attention_heads * model.kv_channels;
  const int64_t groups = model.num_query_groups * model.kv_channels;
  const int64_t gated = model.activation == FeedForwardActivation::kSwiglu ? 2 : 1;
  return {2 * model.hidden_size + 2 * heads + 2 * groups + gated * model.ffn_hidden_size,
          2 * model.hidden_size + model.ffn_hidden_size};
}

/// Its input and each step's previous state, its gates and what stands behind them in float32
/// (core/ops/recurrent.h); copies of the input by a norm and by dropout.
LayerNumbers of_recurrent(const ModelConfig& model, DType compute) {
  const int64_t wide = std::max<int64_t>(1, size_of(DType::kFloat32) / size_of(compute));
  const int64_t gates = model.recurrent_cell == RecurrentCell::kLstm  ? 4 + 1
                        : model.recurrent_cell == RecurrentCell::kGru ? 3 + 1
                                                                      : 1;
  const int64_t copies = (model.recurrent_norm ? 1 : 0) + (model.hidden_dropout > 0 ? 1 : 0) +
                         (model.bidirectional_encoder ? 1 : 0);
  return {model.hidden_size * (2 + gates * wide + copies), 0};
}

/// Of a recurrent decoder's attention: queries, keys and contexts.
int64_t attention_numbers(const ModelConfig& model) {
  switch (model.recurrent_attention) {
    case RecurrentAttention::kAdditive:
      return 6 * model.hidden_size;
    case RecurrentAttention::kDot:
      return 4 * model.hidden_size;
    case RecurrentAttention::kNone:
      break;
  }
  return 0;
}

}  // namespace

MemoryEstimate estimate_memory(const RunConfig& config, const BatchPlan& batch, int64_t num_parameters) {
  const ModelConfig& model = config.model;
  const ParallelConfig& parallel = config.parallel;
  const int64_t stages = parallel.pipeline_model_parallel_size, ranks = parallel.tensor_model_parallel_size;
  if (stages > 1) {
    const int64_t matrix = model.vocab_size * model.hidden_size;  // of the embedding or of the head
    const int64_t matrices = model.untie_embeddings_and_output_weights ? 2 : 1;
    num_parameters = (num_parameters - matrices * matrix + stages - 1) / stages + matrix;
  }
  num_parameters = (num_parameters + ranks - 1) / ranks;
  const DType compute = config.precision.compute(), master = config.precision.master();
  const auto num_states = static_cast<int64_t>(optimizer_state_names(config.optimizer).size());
  const int64_t wide = num_parameters * size_of(master);
  MemoryEstimate estimate;
  estimate.weights = num_parameters * size_of(compute);
  estimate.gradients = wide;
  const int64_t states = num_states * wide + (compute == master ? 0 : wide);
  estimate.optimizer = states / (parallel.zero_stage > 0 ? batch.data_ranks : 1);
  // Replicas divide what they write.
  if (config.checkpoint.saves_in_background())
    estimate.snapshot = (estimate.weights + states) / batch.data_ranks;

  const LayerNumbers layer = model.recurrent() ? of_recurrent(model, compute) : of_transformer(model);
  int64_t layers = model.recurrent() ? attention_numbers(model) : 0, most_made_again = 0;
  for (int64_t i = 0; i < model.num_layers_in_all(); ++i) {
    const RecomputeGranularity granularity = config.training.recompute().of_layer(i);
    const int64_t kept = granularity == RecomputeGranularity::kFull        ? model.hidden_size
                         : granularity == RecomputeGranularity::kSelective ? layer.dear
                                                                           : layer.dear + layer.cheap;
    layers += kept;
    most_made_again = std::max(most_made_again, layer.dear + layer.cheap - kept);
  }
  layers += most_made_again;
  const int64_t tokens = config.training.micro_batch_size * config.data.seq_length;
  const int64_t logits = std::min<int64_t>(tokens, 1024) * model.vocab_size / ranks;
  // Activations of the heads and the hidden units are divided over tensor ranks, the residual stream with
  // sequence_parallel only. A stage keeps what its schedule holds at once, each a chunk of the layers.
  const bool all_rows = ranks > 1 && !parallel.sequence_parallel;
  const double shared = all_rows ? 0.5 + 0.5 / static_cast<double>(ranks) : 1.0 / static_cast<double>(ranks);
  const auto chunks = static_cast<double>(stages * parallel.virtual_pipeline_model_parallel_size);
  const double kept = static_cast<double>(layers) * shared * most_under_way(parallel, batch) / chunks;
  // Absurd sizes do not fit into an integer.
  const double elements = static_cast<double>(tokens) * kept + static_cast<double>(logits);
  estimate.activations =
      static_cast<int64_t>(std::min(elements * static_cast<double>(size_of(compute)), 0x1p60));
  return estimate;
}

void check_memory(const MemoryEstimate& estimate, int64_t ranks_on_host) {
  struct sysinfo host = {};
  if (sysinfo(&host) != 0) return;
  const double given =
      (static_cast<double>(host.totalram) + static_cast<double>(host.totalswap)) * host.mem_unit;
  const double needed = static_cast<double>(estimate.total()) * static_cast<double>(ranks_on_host);
  if (needed <= given) return;
  throw DeviceError(fmt::format(
      "out of memory: {} {} of this host would need {} each (weights {}, gradients {}, optimizer {}, "
      "activations about {}, copy for checkpoints {}), the host has {}; take a smaller model, "
      "micro_batch_size "
      "or seq_length, recompute_granularity: full, or checkpoint.async: false",
      ranks_on_host, ranks_on_host == 1 ? "rank" : "ranks", bytes_text(estimate.total()),
      bytes_text(estimate.weights), bytes_text(estimate.gradients), bytes_text(estimate.optimizer),
      bytes_text(estimate.activations), bytes_text(estimate.snapshot),
      bytes_text(static_cast<int64_t>(given))));
}

}  // namespace trireme
