// What a layer keeps for backward on each tensor rank: the table of parallel/tensor_parallel/README.md.

#include <gtest/gtest.h>

#include "core/models/registry.h"
#include "tests/support/split_run.h"
#include "tests/support/test_batch.h"

namespace trireme {
namespace {

using testing::Split;
using testing::SplitRank;

constexpr int64_t kSamples = 2, kLength = 40, kRows = kSamples * kLength;

ModelConfig wide_model(bool llama, int64_t num_layers) {
  ModelConfig config;
  config.num_layers = num_layers;
  config.hidden_size = 96;
  config.ffn_hidden_size = 320;
  config.num_attention_heads = 4;
  config.num_query_groups = 2;
  config.kv_channels = 24;
  config.vocab_size = 11;
  if (llama) {
    config.normalization = Normalization::kRmsNorm;
    config.activation = FeedForwardActivation::kSwiglu;
  }
  config.resolve(0, kLength);
  return config;
}

int64_t activation_bytes(const Context& context) {
  return context.allocator.ledger().current[static_cast<size_t>(MemoryCategory::kActivations)];
}

/// Bytes that the ledger counts for an activation.
int64_t bytes_of(int64_t rows, int64_t features, DType dtype) {
  Context context;
  const Tensor tensor = context.activation({rows, features}, dtype);
  return activation_bytes(context);
}

int64_t layer_bytes(const ModelConfig& config, const Split& split, RecomputeGranularity granularity) {
  const DType dtype = PrecisionConfig{.dtype = split.precision}.compute();
  const int64_t n = split.num_ranks, shard = split.sequence_parallel ? kRows / n : kRows;
  const int64_t stream = bytes_of(shard, config.hidden_size, dtype);
  if (granularity == RecomputeGranularity::kFull) return stream;
  const int64_t query = config.num_attention_heads / n * config.kv_channels;
  const int64_t key = std::max<int64_t>(1, config.num_query_groups / n) * config.kv_channels;
  const int64_t ffn = config.ffn_hidden_size / n;
  const bool llama = config.activation == FeedForwardActivation::kSwiglu;
  Context context;
  const Tensor row_values = context.activation({shard}, DType::kFloat32);
  const int64_t statistics = (llama ? 2 : 4) * activation_bytes(context);
  const int64_t log_sum_exp = bytes_of(kRows, config.num_attention_heads / n, DType::kFloat32);
  const int64_t always = 2 * stream + bytes_of(kRows, query + 2 * key, dtype) +
                         bytes_of(kRows, query, dtype) + bytes_of(kRows, (llama ? 2 : 1) * ffn, dtype) +
                         statistics + log_sum_exp;
  if (granularity == RecomputeGranularity::kSelective) return always;
  return always + 2 * stream + bytes_of(kRows, ffn, dtype);
}

/// Bytes of activations on a rank between forward and backward.
int64_t kept(SplitRank& rank, const ModelConfig& config, RecomputeGranularity granularity) {
  const std::unique_ptr<Model> model = make_model(config, rank.builder);
  const auto store = rank.make_store(model->parameters());
  const Batch batch = testing::random_batch(rank.context, kSamples, kLength, config.vocab_size, 2);
  ForwardPass pass{.batch = batch, .recompute = {granularity}};
  const Variable loss = model->loss(rank.context, pass);
  return activation_bytes(rank.context);
}

TEST(TensorMemory, ALayerKeepsTheBytesOfTheTableOnEveryRank) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16})
    for (const Split& split : testing::all_splits(precision)) {
      if (split.num_ranks == 3) continue;  // neither heads nor features divide
      for (const bool llama : {false, true})
        for (const auto granularity :
             {RecomputeGranularity::kNone, RecomputeGranularity::kSelective, RecomputeGranularity::kFull})
          testing::run_split(split, [&](SplitRank& rank) {
            const int64_t one = kept(rank, wide_model(llama, 1), granularity);
            EXPECT_EQ(kept(rank, wide_model(llama, 4), granularity) - one,
                      3 * layer_bytes(wide_model(llama, 4), split, granularity))
                << describe(split) << ", granularity " << static_cast<int>(granularity);
          });
    }
}

}  // namespace
}  // namespace trireme
