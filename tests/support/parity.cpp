#include "tests/support/parity.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/step/training_rank.h"
#include "tests/support/global_tensors.h"

namespace trireme::testing {
namespace {

constexpr int64_t kLength = 7;
constexpr int64_t kVocabulary = 13;

/// Sample n: a little automaton whose rule depends on n, so that there is something to learn. The number of
/// targets that count differs from sample to sample.
Batch make_batch(Context& context, const std::vector<int64_t>& samples) {
  const auto count = static_cast<int64_t>(samples.size());
  Batch batch;
  batch.tokens = context.workspace({count, kLength}, DType::kInt32);
  batch.targets = context.workspace({count, kLength}, DType::kInt32);
  batch.positions = context.workspace({count, kLength}, DType::kInt32);
  batch.sample_ids = context.workspace({count}, DType::kInt64);
  for (int64_t b = 0; b < count; ++b) {
    const int64_t number = samples[static_cast<size_t>(b)];
    batch.sample_ids.data<int64_t>()[b] = number;
    int64_t token = number * 5 % kVocabulary;
    for (int64_t t = 0; t < kLength; ++t) {
      const int64_t next = (token * (2 + number % 3) + 1) % kVocabulary;
      const bool ignored = (number * kLength + t) % 5 < number % 4;
      batch.tokens.row<int32_t>(b)[t] = static_cast<int32_t>(token);
      batch.targets.row<int32_t>(b)[t] = ignored ? -1 : static_cast<int32_t>(next);
      batch.positions.row<int32_t>(b)[t] = static_cast<int32_t>(t);
      batch.num_targets += ignored ? 0 : 1;
      token = next;
    }
  }
  return batch;
}

double largest(const std::vector<double>& values) {
  double result = 0;
  for (const double value : values) result = std::max(result, std::isnan(value) ? INFINITY : std::abs(value));
  return result;
}

struct TensorError {
  double error = 0;
  size_t index = 0;
};

TensorError worst(const std::vector<std::vector<double>>& tensors,
                  const std::vector<std::vector<double>>& references,
                  const std::function<bool(size_t)>& use) {
  double scale = 0;
  for (const auto& reference : references) scale = std::max(scale, largest(reference));
  TensorError result;
  for (size_t p = 0; p < references.size(); ++p) {
    if (!use(p)) continue;
    std::vector<double> difference(references[p].size());
    for (size_t i = 0; i < difference.size(); ++i) difference[i] = tensors[p][i] - references[p][i];
    const double error = largest(difference) / std::max(largest(references[p]), 1e-3 * scale);
    if (error > result.error) result = {error, p};
  }
  return result;
}

bool is_key_bias(const std::string& name) {
  return name.find("attention.key.bias") != std::string::npos;
}

RankOptions options_of(const ParityRun& run) {
  RankOptions options;
  options.model = run.model;
  options.parallel = run.parallel;
  options.parallel.bucket_size_mb = static_cast<double>(run.bucket_bytes) * 1e-6;
  options.precision.dtype = run.precision;
  options.step = {.clip_grad = 1.0, .seed = 5, .recompute = run.recompute};
  options.micro_batch_size = run.micro_batch_size;
  options.global_batch_size = run.global_batch_size;
  options.seq_length = kLength;
  options.seed = 1;
  return options;
}

GptConfig tiny() {
  GptConfig config;
  config.num_layers = 2;
  config.hidden_size = 12;
  config.num_attention_heads = 2;
  config.vocab_size = kVocabulary;
  config.hidden_dropout = 0.1;
  config.attention_dropout = 0.1;
  config.init_method_std = 0.2;
  return config;
}

}  // namespace

GptConfig parity_gpt2() {
  GptConfig config = tiny();
  config.resolve(0, kLength);
  return config;
}

GptConfig parity_llama() {
  GptConfig config = tiny();
  config.num_attention_heads = 6;
  config.num_query_groups = 3;
  config.ffn_hidden_size = 20;
  config.position_embedding_type = PositionEmbedding::kRope;
  config.normalization = Normalization::kRmsNorm;
  config.activation = FeedForwardActivation::kSwiglu;
  config.add_bias_linear = false;
  config.untie_embeddings_and_output_weights = true;
  config.resolve(0, kLength);
  return config;
}

ParityTrace train(Communicator& world, const ParityRun& run) {
  Context context;
  TrainingRank rank(context, world, options_of(run));
  GlobalTensors whole(context, world, rank);
  ParityTrace trace;
  trace.names = whole.names();
  if (run.before) run.before(context, world, rank);
  for (int64_t number = run.first_step; number < run.first_step + run.num_steps; ++number) {
    int64_t index = 0;
    const auto next = [&] {
      return make_batch(context, rank.samples().micro_batch((number - 1) * run.global_batch_size,
                                                            rank.mesh().data().rank(), index++));
    };
    const StepResult result = rank.step().run(number, next, run.lr, false);
    trace.steps.push_back({result.loss, result.grad_norm, whole.gradients()});
  }
  if (run.after) run.after(context, world, rank);
  trace.weights = whole.weights();
  return trace;
}

ParityTrace train_alone(ParityRun run) {
  run.micro_batch_size = run.global_batch_size;
  run.parallel = {};
  comm::LocalCommunicator world;
  return train(world, run);
}

ParityTrace train_on_threads(int num_ranks, const ParityRun& run) {
  std::vector<ParityTrace> traces(static_cast<size_t>(num_ranks));
  comm::run_thread_ranks(
      num_ranks, [&](Communicator& world) { traces[static_cast<size_t>(world.rank())] = train(world, run); });
  for (const ParityTrace& trace : traces)
    if (!identical(trace, traces[0])) ADD_FAILURE() << "the ranks' traces differ";
  return traces[0];
}

ParityError compare(const ParityTrace& trace, const ParityTrace& reference, size_t num_steps) {
  ParityError result;
  if (trace.names != reference.names || trace.steps.size() < num_steps ||
      reference.steps.size() < num_steps) {
    ADD_FAILURE() << "the traces are of different runs";
    return result;
  }
  for (size_t s = 0; s < num_steps; ++s) {
    const ParityStep& a = trace.steps[s];
    const ParityStep& b = reference.steps[s];
    result.loss = std::max({result.loss, std::abs(a.loss - b.loss) / std::abs(b.loss),
                            std::abs(a.grad_norm - b.grad_norm) / std::abs(b.grad_norm)});
    const TensorError error =
        worst(a.gradients, b.gradients, [&](size_t p) { return s == 0 || !is_key_bias(trace.names[p]); });
    if (error.error > result.gradient) {
      result.gradient = error.error;
      result.where = fmt::format("{} at step {}", trace.names[error.index], s + 1);
    }
  }
  if (num_steps == trace.steps.size()) {
    const TensorError error =
        worst(trace.weights, reference.weights, [&](size_t p) { return !is_key_bias(trace.names[p]); });
    result.weight = error.error;
    result.weight_where = trace.names[error.index];
  }
  return result;
}

bool identical(const ParityTrace& a, const ParityTrace& b) {
  if (a.steps.size() != b.steps.size() || a.weights != b.weights) return false;
  for (size_t s = 0; s < a.steps.size(); ++s)
    if (a.steps[s].loss != b.steps[s].loss || a.steps[s].grad_norm != b.steps[s].grad_norm ||
        a.steps[s].gradients != b.steps[s].gradients)
      return false;
  return true;
}

}  // namespace trireme::testing
