#include <fmt/format.h>

#include "core/models/block_model.h"
#include "core/models/embedding_block.h"
#include "core/models/language_head.h"
#include "core/models/registry.h"
#include "core/models/transformer_layer.h"

namespace trireme {
namespace {

/// The end of the encoder: a last norm, with norm_position pre. {x} -> {memory}.
class EncoderEnd final : public Block {
 public:
  EncoderEnd(const ModelConfig& config, nn::LayerBuilder& builder)
      : norm_(optional_norm(config, "encoder.final_norm", Sequence::kSource, builder)) {}
  void collect(std::vector<Parameter*>& parameters) override { norm_->collect(parameters); }
  void collect_buffers(std::vector<Buffer*>& buffers) override { norm_->collect_buffers(buffers); }
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override {
    return {norm_->forward(context, pass, inputs[0])};
  }
  double products_per_token(int64_t) const override { return 0; }
  BlockKind kind() const override { return BlockKind::kHead; }

 private:
  std::unique_ptr<nn::Norm> norm_;
};

/// The Transformer (Vaswani et al. 2017): an encoder over the source, a decoder over the target that attends
/// to it. The decoder's blocks pass the encoder's output on, so that a pipeline can cut anywhere.
///
/// Names: encoder.embedding (or `embedding`, shared with the decoder), encoder.layers.N, encoder.final_norm,
/// decoder.embedding, decoder.layers.N, decoder.final_norm, head.
class Transformer final : public BlockModel {
 public:
  Transformer(const ModelConfig& config, nn::LayerBuilder& builder) : BlockModel(config, builder) {
    EmbeddingBlock& source = add(make_source_embedding(config, builder));
    const int64_t depth = config.encoder_num_layers;
    for (int64_t i = 0; i < depth; ++i)
      add(std::make_unique<TransformerLayer>(
          config,
          LayerPlace{.name = fmt::format("encoder.layers.{}.", i), .index = i, .sequence = Sequence::kSource},
          builder));
    if (config.norm_position == NormPosition::kPre && config.normalization != Normalization::kNone)
      add(std::make_unique<EncoderEnd>(config, builder));
    decoder_begin_ = blocks().size();
    EmbeddingBlock& target = add(make_target_embedding(config, source, builder));
    for (int64_t i = 0; i < config.num_layers; ++i)
      add(std::make_unique<TransformerLayer>(config,
                                             LayerPlace{.name = fmt::format("decoder.layers.{}.", i),
                                                        .index = depth + i,
                                                        .cache_entry = i,
                                                        .causal = true,
                                                        .reads_source = true},
                                             builder));
    add(std::make_unique<LanguageHead>(config, "decoder.final_norm",
                                       config.untie_embeddings_and_output_weights ? nullptr : &target.word(),
                                       builder));
  }

  std::vector<Shape> boundary_shapes(const Batch& batch, size_t block) const override {
    const Shape memory = stream_shape(batch, Sequence::kSource);
    if (block <= decoder_begin_) return {memory};
    return {stream_shape(batch, Sequence::kTokens), memory};
  }
};

/// Table 3 of the paper, `base`.
ModelConfig defaults() {
  ModelConfig config;
  config.family = "transformer";
  config.num_layers = 6;
  config.hidden_size = 512;
  config.num_attention_heads = 8;
  config.position_embedding_type = PositionEmbedding::kSinusoidal;
  config.scale_embeddings = true;
  config.norm_position = NormPosition::kPost;
  config.activation = FeedForwardActivation::kRelu;
  config.hidden_dropout = 0.1;
  config.init_method = InitMethod::kXavierUniform;
  config.init_method_std = 0;  // hidden_size^-0.5: times sqrt(hidden_size) it is 1
  config.scale_init_by_depth = false;
  return config;
}

void check(ModelConfig& config, std::vector<std::string>& errors) {
  refuse_bert(config, errors);
  refuse_recurrent(config, errors);
  complete_encoder(config, errors);
}

std::unique_ptr<Model> make(const ModelConfig& config, nn::LayerBuilder& builder) {
  return std::make_unique<Transformer>(config, builder);
}

}  // namespace

Family transformer_family() {
  return {"transformer", true, defaults, check, make, translation_needs};
}

}  // namespace trireme
