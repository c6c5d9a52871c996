#include "tests/support/parity.h"

#include <gtest/gtest.h>

#include "core/models/registry.h"

namespace trireme::testing {
namespace {

constexpr int64_t kLength = 7;

ModelConfig tiny(const char* family = "gpt") {
  ModelConfig config = family_named(family).defaults();
  config.num_layers = 2;
  config.hidden_size = 12;
  config.num_attention_heads = 2;
  config.vocab_size = 13;
  config.hidden_dropout = 0.1;
  config.attention_dropout = 0.1;
  return config;
}

}  // namespace

ModelConfig parity_gpt2() {
  ModelConfig config = tiny();
  config.resolve(0, kLength);
  return config;
}

ModelConfig parity_llama() {
  ModelConfig config = tiny();
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

ModelConfig parity_transformer() {
  ModelConfig config = tiny("transformer");
  config.encoder_num_layers = 2;
  config.label_smoothing = 0.1;
  config.resolve(0, kLength);
  return config;
}

ModelConfig parity_bert() {
  ModelConfig config = tiny("bert");
  config.resolve(0, kLength);
  return config;
}

verify::VerifyCase parity_run(const ModelConfig& model, Precision precision) {
  verify::VerifyCase run;
  run.rank.model = model;
  run.rank.parallel.bucket_size_mb = 6e-4;  // several parameters in some buckets, one in others
  run.rank.precision.dtype = precision;
  run.rank.step.seed = 5;
  run.rank.micro_batch_size = 12;
  run.rank.global_batch_size = 12;
  run.rank.seq_length = kLength;
  run.rank.seed = 1;
  run.num_steps = 50;
  verify::make_measurable(run);
  return run;
}

void expect_within(const verify::Difference& difference, double bound, const std::string& what) {
  for (const std::string& problem : verify::disagreements(difference, {bound, bound, bound, bound}))
    ADD_FAILURE() << what << ": " << problem;
}

}  // namespace trireme::testing
