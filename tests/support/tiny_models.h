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

/// A plain model with its parameters, drawn from seed 1.
struct TinyModel {
  TinyModel(Context& context, const ModelConfig& config, Precision precision) {
    nn::PlainLayerBuilder builder;
    model = make_model(config, builder);
    PrecisionConfig precision_config;
    precision_config.dtype = precision;
    store = std::make_unique<ParameterStore>(context, ParameterLayout(model->parameters(), precision_config));
    store->initialize(context, 1);
  }
  std::unique_ptr<Model> model;
  std::unique_ptr<ParameterStore> store;
};

}  // namespace trireme::testing
