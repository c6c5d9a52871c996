#include "tests/support/parity.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "core/optim/optimizer.h"
#include "parallel/comm/local_communicator.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/step/micro_batches.h"
#include "parallel/step/train_step.h"

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

template <class T>
double as_double(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return static_cast<double>(static_cast<float>(value));
  }
}

std::vector<double> to_doubles(const Tensor& tensor) {
  std::vector<double> values(static_cast<size_t>(tensor.num_elements()));
  dispatch_floating(tensor.dtype(), [&](auto type) {
    using T = decltype(type);
    std::transform(tensor.data<T>(), tensor.data<T>() + values.size(), values.begin(),
                   [](T value) { return as_double(value); });
  });
  return values;
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
  Mesh mesh(world, ParallelConfig{});
  nn::PlainLayerBuilder builder;
  const std::unique_ptr<Model> model = make_gpt(context, run.model, builder);
  PrecisionConfig precision;
  precision.dtype = run.precision;
  const ParameterLayout layout(model->parameters(), precision);
  ParameterStore store(context, layout, {{0, layout.num_elements()}}, flat_memory(context, mesh.data(), 0));
  store.initialize(context, 1);
  const std::unique_ptr<Optimizer> optimizer = make_optimizer(context, OptimizerConfig{}, store);
  GradientBuckets buckets(store, mesh.data(), run.bucket_bytes);
  TrainStep step(context, mesh, *model, store, *optimizer, buckets,
                 {.clip_grad = 1.0, .seed = 5, .recompute = run.recompute});

  const StepSamples samples{run.global_batch_size, run.micro_batch_size, mesh.data().size()};
  ParityTrace trace;
  const auto for_each_piece = [&](const std::function<void(const Parameter&, size_t)>& visit) {
    for (const Parameter* parameter : store.parameters())
      for (size_t i = 0; i < parameter->pieces.size(); ++i) visit(*parameter, i);
  };
  for_each_piece(
      [&](const Parameter& parameter, size_t i) { trace.names.push_back(parameter.pieces[i].name); });
  for (int64_t number = 1; number <= run.num_steps; ++number) {
    int64_t index = 0;
    const auto next = [&] {
      return make_batch(
          context, samples.micro_batch((number - 1) * run.global_batch_size, mesh.data().rank(), index++));
    };
    const StepResult result = step.run(number, samples.num_micro_batches(), next, run.lr, false);
    ParityStep& record = trace.steps.emplace_back();
    record.loss = result.loss;
    record.grad_norm = result.grad_norm;
    for_each_piece([&](const Parameter& parameter, size_t i) {
      record.gradients.push_back(to_doubles(parameter.piece(parameter.gradient, i)));
    });
  }
  for_each_piece([&](const Parameter& parameter, size_t i) {
    trace.weights.push_back(to_doubles(parameter.piece(parameter.master, i)));
  });
  return trace;
}

ParityTrace train_alone(ParityRun run) {
  run.micro_batch_size = run.global_batch_size;
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
