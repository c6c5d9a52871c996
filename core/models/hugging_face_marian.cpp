// transformers/models/marian/modeling_marian.py
#include <fmt/format.h>

#include "core/models/hugging_face_family.h"
#include "core/models/registry.h"

namespace trireme {
namespace {

/// Marian's LayerNorm is PyTorch's as it comes.
constexpr double kNormEpsilon = 1e-5;

/// A number that encoder and decoder have in common.
int64_t read_common(HuggingFaceReader& reader, const char* encoder, const char* decoder) {
  const int64_t value = reader.integer(decoder);
  if (reader.integer(encoder) != value) reader.problem(encoder, fmt::format("{}'s {}", decoder, value));
  return value;
}

void read_vocabularies(HuggingFaceReader& reader, ModelConfig& config) {
  config.source_vocab_size = reader.integer("vocab_size");
  config.vocab_size = reader.integer("decoder_vocab_size", config.source_vocab_size);
  config.share_source_embedding = reader.boolean("share_encoder_decoder_embeddings", true);
  config.untie_embeddings_and_output_weights = !reader.boolean("tie_word_embeddings", true);
  if (!config.share_source_embedding) return;
  reader.only("tie_word_embeddings", true);
  if (config.vocab_size != config.source_vocab_size)
    reader.problem("decoder_vocab_size", fmt::format("vocab_size's {}, with share_encoder_decoder_embeddings",
                                                     config.source_vocab_size));
}

/// What older versions could say and the paper's Transformer with norms after the sums has not.
void refuse_variants(HuggingFaceReader& reader) {
  for (const char* key : {"encoder_layerdrop", "decoder_layerdrop", "activation_dropout"})
    reader.only(key, 0);
  for (const char* key : {"normalize_before", "normalize_embedding", "add_final_layer_norm"})
    reader.only(key, false);
  reader.only("static_position_embeddings", true);
  reader.absent("quantization_config");
}

ModelConfig read(HuggingFaceReader& reader) {
  reader.architectures({"MarianMTModel"});
  ModelConfig config = family_named("transformer").defaults();
  config.sinusoidal_form = ops::SinusoidForm::kConcatenated;
  config.init_method = InitMethod::kNormal;
  config.encoder_num_layers = reader.integer("encoder_layers");
  config.num_layers = reader.integer("decoder_layers");
  config.hidden_size = reader.integer("d_model");
  config.ffn_hidden_size = read_common(reader, "encoder_ffn_dim", "decoder_ffn_dim");
  config.num_attention_heads = read_common(reader, "encoder_attention_heads", "decoder_attention_heads");
  config.max_position_embeddings = reader.integer("max_position_embeddings");
  config.scale_embeddings = reader.boolean("scale_embedding", false);
  config.activation = reader.activation("activation_function", "gelu");
  config.norm_epsilon = kNormEpsilon;
  config.init_method_std = reader.number("init_std", 0.02);
  config.hidden_dropout = reader.number("dropout", 0.1);
  config.attention_dropout = reader.number("attention_dropout", 0.0);
  read_vocabularies(reader, config);
  refuse_variants(reader);
  return config;
}

nlohmann::ordered_json write(const ModelConfig& config, const HuggingFaceIds& ids) {
  return {{"architectures", {"MarianMTModel"}},
          {"model_type", "marian"},
          {"is_encoder_decoder", true},
          {"encoder_layers", config.encoder_num_layers},
          {"decoder_layers", config.num_layers},
          {"d_model", config.hidden_size},
          {"encoder_ffn_dim", config.ffn_hidden_size},
          {"decoder_ffn_dim", config.ffn_hidden_size},
          {"encoder_attention_heads", config.num_attention_heads},
          {"decoder_attention_heads", config.num_attention_heads},
          {"max_position_embeddings", config.max_position_embeddings},
          {"vocab_size", config.source_vocab_size},
          {"decoder_vocab_size", config.vocab_size},
          {"share_encoder_decoder_embeddings", config.share_source_embedding},
          {"tie_word_embeddings", !config.untie_embeddings_and_output_weights},
          {"scale_embedding", config.scale_embeddings},
          {"activation_function", hugging_face_activation(config.activation, "relu")},
          {"init_std", config.init_method_std},
          {"dropout", config.hidden_dropout},
          {"attention_dropout", config.attention_dropout},
          {"activation_dropout", 0.0},
          {"pad_token_id", id_or_null(ids.pad)},
          {"eos_token_id", id_or_null(ids.end)},
          {"forced_eos_token_id", id_or_null(ids.end)},
          // Transformers wants a number.
          {"decoder_start_token_id", ids.begin.value_or(0)}};
}

}  // namespace

HuggingFaceFamily hugging_face_marian() {
  return {
      .model_type = "marian",
      .title = "Marian",
      .prefix = "model.",
      .modules =
          {{"model.shared", {"embedding.word"}},
           {"model.encoder.embed_tokens", {"encoder.embedding.word"}},
           {"model.encoder.layers.{}.self_attn.q_proj", {"encoder.layers.{}.attention.query"}},
           {"model.encoder.layers.{}.self_attn.k_proj", {"encoder.layers.{}.attention.key"}},
           {"model.encoder.layers.{}.self_attn.v_proj", {"encoder.layers.{}.attention.value"}},
           {"model.encoder.layers.{}.self_attn.out_proj", {"encoder.layers.{}.attention.output"}},
           {"model.encoder.layers.{}.self_attn_layer_norm", {"encoder.layers.{}.attention_norm"}},
           {"model.encoder.layers.{}.fc1", {"encoder.layers.{}.mlp.up"}},
           {"model.encoder.layers.{}.fc2", {"encoder.layers.{}.mlp.down"}},
           {"model.encoder.layers.{}.final_layer_norm", {"encoder.layers.{}.mlp_norm"}},
           {"model.decoder.embed_tokens", {"decoder.embedding.word"}},
           {"model.decoder.layers.{}.self_attn.q_proj", {"decoder.layers.{}.attention.query"}},
           {"model.decoder.layers.{}.self_attn.k_proj", {"decoder.layers.{}.attention.key"}},
           {"model.decoder.layers.{}.self_attn.v_proj", {"decoder.layers.{}.attention.value"}},
           {"model.decoder.layers.{}.self_attn.out_proj", {"decoder.layers.{}.attention.output"}},
           {"model.decoder.layers.{}.self_attn_layer_norm", {"decoder.layers.{}.attention_norm"}},
           {"model.decoder.layers.{}.encoder_attn.q_proj", {"decoder.layers.{}.cross_attention.query"}},
           {"model.decoder.layers.{}.encoder_attn.k_proj", {"decoder.layers.{}.cross_attention.key"}},
           {"model.decoder.layers.{}.encoder_attn.v_proj", {"decoder.layers.{}.cross_attention.value"}},
           {"model.decoder.layers.{}.encoder_attn.out_proj", {"decoder.layers.{}.cross_attention.output"}},
           {"model.decoder.layers.{}.encoder_attn_layer_norm", {"decoder.layers.{}.cross_norm"}},
           {"model.decoder.layers.{}.fc1", {"decoder.layers.{}.mlp.up"}},
           {"model.decoder.layers.{}.fc2", {"decoder.layers.{}.mlp.down"}},
           {"model.decoder.layers.{}.final_layer_norm", {"decoder.layers.{}.mlp_norm"}},
           {"lm_head", {"head"}}},
      .copies = {{"model.encoder.embed_tokens.weight", "model.shared.weight"},
                 {"model.decoder.embed_tokens.weight", "model.shared.weight"},
                 {"lm_head.weight", "model.shared.weight"},
                 {"lm_head.weight", "model.decoder.embed_tokens.weight"}},
      .zeros = {"final_logits_bias"},
      .sinusoids = {"model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"},
      .read = read,
      .write = write};
}

}  // namespace trireme
