// What layers keep, make again, and what that does to the results: nothing.

#include <gtest/gtest.h>

#include "core/ops/elementwise.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

constexpr RecomputeGranularity kFull = RecomputeGranularity::kFull;
constexpr RecomputeGranularity kSelective = RecomputeGranularity::kSelective;

int64_t activation_bytes(const Context& context) {
  return context.allocator.ledger().current[static_cast<size_t>(MemoryCategory::kActivations)];
}

struct PassResult {
  double loss = 0;
  Tensor gradients;
  int64_t kept = 0;  ///< bytes of activations between forward and backward
  int64_t peak = 0;  ///< bytes above those before the pass
};

PassResult run(Context& context, TinyModel& tiny, const Batch& batch, const RecomputeOptions& recompute) {
  tiny.store->begin_accumulation();
  const int64_t before = context.allocator.ledger().total;
  context.allocator.reset_peak();
  ForwardPass pass{.batch = batch, .seed = 3, .step = 5, .loss_scale = {0.05, 1.0}, .recompute = recompute};
  Variable loss = tiny.model->loss(context, pass);
  PassResult result;
  result.kept = activation_bytes(context);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  backward(context, {{std::move(loss), std::move(one)}});
  context.weight_gradients.drain(context);
  result.peak = context.allocator.ledger().peak - before;
  result.loss = pass.losses[LossTerm::kTokens].sum;
  result.gradients = clone(context, tiny.store->gradients());
  return result;
}

TEST(Recompute, GivesTheSameBitsAtEveryGranularity) {
  for (const Precision precision : {Precision::kFp64, Precision::kFp32, Precision::kBf16, Precision::kFp16})
    for (ModelConfig config : {tiny_gpt2(), tiny_llama()}) {
      config.hidden_dropout = 0.2;
      config.attention_dropout = 0.1;
      Context context;
      TinyModel tiny(context, config, precision);
      const Batch batch = random_batch(context, 3, 7, 11, 2, 1000);
      const PassResult expected = run(context, tiny, batch, {});
      for (const RecomputeOptions& recompute :
           {RecomputeOptions{kFull}, {kFull, 1}, {kSelective}, {kSelective, 1}})
        for (const bool delayed : {false, true}) {
          context.weight_gradients.delayed = delayed;
          const PassResult result = run(context, tiny, batch, recompute);
          EXPECT_EQ(result.loss, expected.loss);
          for (int64_t i = 0; i < expected.gradients.num_elements(); ++i)
            ASSERT_EQ(element(result.gradients, i), element(expected.gradients, i)) << i;
          EXPECT_EQ(activation_bytes(context), 0);
        }
    }
}

constexpr int64_t kSamples = 2, kLength = 40;

ModelConfig wide(ModelConfig config, int64_t num_layers) {
  config.num_layers = num_layers;
  config.hidden_size = 96;
  config.ffn_hidden_size = 320;
  config.kv_channels = 24;
  config.num_query_groups = 2;
  config.num_attention_heads = 4;
  config.max_position_embeddings = kLength;
  config.resolve(0, kLength);
  return config;
}

/// Bytes that the ledger counts for rows of a batch.
int64_t bytes_of(int64_t features, DType dtype) {
  Context context;
  const Tensor tensor = context.activation({kSamples * kLength, features}, dtype);
  return activation_bytes(context);
}

/// The table of core/models/README.md, for one layer and the whole micro-batch.
struct LayerBytes {
  LayerBytes(const ModelConfig& config, DType dtype) {
    const bool rms = config.normalization == Normalization::kRmsNorm;
    const bool gated = config.activation == FeedForwardActivation::kSwiglu;
    const int64_t hidden = bytes_of(config.hidden_size, dtype);
    const int64_t query = config.num_attention_heads * config.kv_channels;
    const int64_t key = config.num_query_groups * config.kv_channels;
    Context context;
    const Tensor row_values = context.activation({kSamples * kLength}, DType::kFloat32);
    const int64_t statistics = (rms ? 2 : 4) * activation_bytes(context);
    full = hidden;
    selective = 2 * hidden + bytes_of(query + 2 * key, dtype) + bytes_of(query, dtype) +
                bytes_of((gated ? 2 : 1) * config.ffn_hidden_size, dtype) + statistics +
                bytes_of(config.num_attention_heads, DType::kFloat32);  // log-sum-exp
    cheap = 2 * hidden + bytes_of(config.ffn_hidden_size, dtype);
    none = selective + cheap;
  }
  int64_t none, selective, full, cheap;
};

class RecomputeMemory : public ::testing::TestWithParam<Precision> {};

TEST_P(RecomputeMemory, KeepsTheBytesOfTheTable) {
  PrecisionConfig precision;
  precision.dtype = GetParam();
  for (const ModelConfig& config : {tiny_gpt2(), tiny_llama()}) {
    const LayerBytes layer(wide(config, 1), precision.compute());
    const auto kept = [&](int64_t num_layers, const RecomputeOptions& recompute) {
      Context context;
      TinyModel tiny(context, wide(config, num_layers), GetParam());
      return run(context, tiny, random_batch(context, kSamples, kLength, 11, 2), recompute).kept;
    };
    const int64_t rest = kept(1, {}) - layer.none;  // embedding and head
    EXPECT_EQ(kept(4, {}), rest + 4 * layer.none);
    EXPECT_EQ(kept(4, {kSelective}), rest + 4 * layer.selective);
    EXPECT_EQ(kept(4, {kFull}), rest + 4 * layer.full);
    EXPECT_EQ(kept(4, {kSelective, 3}), rest + 3 * layer.selective + layer.none);
    EXPECT_EQ(kept(4, {kFull, 1}), rest + layer.full + 3 * layer.none);
  }
}

TEST_P(RecomputeMemory, LowersThePeakByWhatAllLayersButOneDrop) {
  PrecisionConfig precision;
  precision.dtype = GetParam();
  for (const ModelConfig& config : {tiny_gpt2(), tiny_llama()}) {
    const LayerBytes layer(wide(config, 1), precision.compute());
    constexpr int64_t kLayers = 6;
    const auto peak = [&](const RecomputeOptions& recompute) {
      Context context;
      TinyModel tiny(context, wide(config, kLayers), GetParam());
      return run(context, tiny, random_batch(context, kSamples, kLength, 11, 2), recompute).peak;
    };
    const int64_t selective = peak({}) - peak({kSelective}), full = peak({}) - peak({kFull});
    EXPECT_GE(selective, (kLayers - 1) * layer.cheap);
    EXPECT_LE(selective, kLayers * layer.cheap);
    // The layer that runs again makes its output too.
    EXPECT_GE(full, (kLayers - 1) * (layer.none - layer.full) - 2 * layer.full);
    EXPECT_LE(full, kLayers * (layer.none - layer.full));
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, RecomputeMemory, ::testing::Values(Precision::kFp32, Precision::kBf16),
                         [](const auto& info) { return info.param == Precision::kFp32 ? "Fp32" : "Bf16"; });

}  // namespace
}  // namespace trireme::testing
