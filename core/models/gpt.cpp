#include <fmt/format.h>

#include "core/models/block_model.h"
#include "core/models/embedding_block.h"
#include "core/models/language_head.h"
#include "core/models/registry.h"
#include "core/models/transformer_layer.h"

namespace trireme {
namespace {

/// A decoder-only Transformer: GPT-2 (Radford et al. 2019) and Llama (Touvron et al. 2023) by configuration.
///
/// Names: embedding.{word, position, norm}, layers.N.(TransformerLayer), final_norm, head; each with .weight
/// and, where there is one, .bias.
class Gpt final : public BlockModel {
 public:
  Gpt(const ModelConfig& config, nn::LayerBuilder& builder) : BlockModel(config, builder) {
    EmbeddingBlock& embedding = add(std::make_unique<EmbeddingBlock>(
        config, EmbeddingPlace{.name = "embedding.", .vocab_size = config.vocab_size}, builder));
    for (int64_t i = 0; i < config.num_layers; ++i)
      add(std::make_unique<TransformerLayer>(
          config,
          LayerPlace{.name = fmt::format("layers.{}.", i), .index = i, .cache_entry = i, .causal = true},
          builder));
    add(std::make_unique<LanguageHead>(
        config, "final_norm", config.untie_embeddings_and_output_weights ? nullptr : &embedding.word(),
        builder));
  }

  std::vector<Shape> boundary_shapes(const Batch& batch, size_t) const override {
    return {stream_shape(batch, Sequence::kTokens)};
  }
};

ModelConfig defaults() {
  return ModelConfig();
}

void check(ModelConfig& config, std::vector<std::string>& errors) {
  refuse_encoder(config, errors);
  refuse_bert(config, errors);
  refuse_recurrent(config, errors);
}

std::unique_ptr<Model> make(const ModelConfig& config, nn::LayerBuilder& builder) {
  return std::make_unique<Gpt>(config, builder);
}

SampleNeeds needs(const ModelConfig& config) {
  return {.objective = Objective::kCausal, .vocab_size = config.vocab_size};
}

}  // namespace

Family gpt_family() {
  return {"gpt", true, defaults, check, make, needs};
}

}  // namespace trireme
