#pragma once

#include <memory>

#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "core/optim/parameter_store.h"

namespace trireme::testing {

inline ModelConfig tiny_gpt2() {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 8;
  config.num_attention_heads = 2;
  config.vocab_size = 11;
  config.resolve(0, 7);
  return config;
}

inline ModelConfig tiny_llama() {
  ModelConfig config;
  config.num_layers = 2;
  config.hidden_size = 8;
  config.ffn_hidden_size = 12;
  config.num_attention_heads = 4;
  config.num_query_groups = 2;
  config.vocab_size = 11;
  config.position_embedding_type = PositionEmbedding::kRope;
  config.normalization = Normalization::kRmsNorm;
  config.activation = FeedForwardActivation::kSwiglu;
  config.add_bias_linear = false;
  config.untie_embeddings_and_output_weights = true;
  config.resolve(0, 7);
  return config;
}

/// A Llama for every option of attention and layers; of half as many layers.
inline std::vector<ModelConfig> tiny_options() {
  const auto with = [](auto change) {
    ModelConfig config = tiny_llama();
    config.num_layers = 1;
    config.position_embedding_type = PositionEmbedding::kNone;
    change(config);
    config.resolve(0, 7);
    return config;
  };
  using enum PositionEmbedding;
  return {with([](ModelConfig& config) {
            config.position_embedding_type = kRelative;
            config.relative_max_distance = 2;
          }),
          with([](ModelConfig& config) { config.position_embedding_type = kRelativeXl; }),
          with([](ModelConfig& config) {
            config.position_embedding_type = kComplex;
            config.normalization = Normalization::kNone;  // of short rows, too curved for differences
          }),
          with([](ModelConfig& config) {
            config.position_embedding_type = kAlibi;
            config.scale_attention = false;
          }),
          with([](ModelConfig& config) {
            config.attention_score = AttentionScore::kAdditive;
            config.normalization = Normalization::kNone;
            config.residual_connections = false;
          }),
          with([](ModelConfig& config) {
            config.position_embedding_type = kRope;
            config.num_query_groups = config.num_attention_heads;
            config.share_query_key = true;
          }),
          with([](ModelConfig& config) {
            config.position_embedding_type = kLearnedAbsolute;
            config.feed_forward = false;
            config.ffn_hidden_size = 0;
            config.activation = FeedForwardActivation::kGeluTanh;
          }),
          with([](ModelConfig& config) { config.normalization = Normalization::kBatchNorm; })};
}

/// A plain model with its parameters, drawn from seed 1.
struct TinyModel {
  TinyModel(Context& context, const ModelConfig& config, Precision precision) {
    nn::PlainLayerBuilder builder;
    model = make_model(config, builder);
    PrecisionConfig precision_config;
    precision_config.dtype = precision;
    store = std::make_unique<ParameterStore>(context, ParameterLayout(model->parameters(), precision_config));
    store->initialize(context, 1);
    store->hold(context, model->buffers());
  }
  std::unique_ptr<Model> model;
  std::unique_ptr<ParameterStore> store;
};

}  // namespace trireme::testing
