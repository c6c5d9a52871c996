// transformers/models/llama/modeling_llama.py
#include <fmt/format.h>

#include "core/models/hugging_face_family.h"

namespace trireme {
namespace {

constexpr const char* kRopeDefault = "default";

/// Rope's base; refuses every other form of it than Su et al.'s. Transformers 5 puts it into an object.
double read_rope(HuggingFaceReader& reader) {
  const double theta = reader.number("rope_theta", 10000.0);
  const nlohmann::json* parameters = reader.find("rope_parameters");
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const nlohmann::json* object = reader.find(key);
    if (object == nullptr) continue;
    const std::string type =
        object->is_object()
            ? object->value("rope_type", object->value("type", nlohmann::json(kRopeDefault))).dump()
            : "";
    if (type != nlohmann::json(kRopeDefault).dump())
      reader.problem(key, "rope_type \"default\" (scaled positions are not supported)");
  }
  if (parameters == nullptr || !parameters->is_object()) return theta;
  HuggingFaceReader inner = reader.inner(*parameters);
  inner.only("partial_rotary_factor", 1.0);
  return inner.number("rope_theta", theta);
}

ModelConfig read(HuggingFaceReader& reader) {
  ModelConfig config;
  config.position_embedding_type = PositionEmbedding::kRope;
  config.normalization = Normalization::kRmsNorm;
  config.activation = FeedForwardActivation::kSwiglu;
  config.num_layers = reader.integer("num_hidden_layers");
  config.hidden_size = reader.integer("hidden_size");
  config.ffn_hidden_size = reader.integer("intermediate_size");
  config.num_attention_heads = reader.integer("num_attention_heads");
  config.num_query_groups = reader.integer("num_key_value_heads", 0);
  config.kv_channels = reader.integer("head_dim", 0);
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("max_position_embeddings");
  config.norm_epsilon = reader.number("rms_norm_eps", 1e-6);
  config.init_method_std = reader.number("initializer_range", 0.02);
  config.untie_embeddings_and_output_weights = !reader.boolean("tie_word_embeddings", false);
  config.attention_dropout = reader.number("attention_dropout", 0.0);
  config.rotary_base = read_rope(reader);
  config.add_bias_linear = reader.boolean("attention_bias", false);
  if (reader.boolean("mlp_bias", false) != config.add_bias_linear)
    reader.problem("mlp_bias", fmt::format("attention_bias's {} (all linear layers have biases or none)",
                                           config.add_bias_linear));
  if (reader.text("hidden_act", "silu") != "silu") reader.problem("hidden_act", "silu");
  reader.only("pretraining_tp", 1);
  reader.absent("quantization_config");
  reader.absent("sliding_window");
  return config;
}

nlohmann::ordered_json write(const ModelConfig& config, const HuggingFaceIds& ids) {
  nlohmann::ordered_json json = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"num_hidden_layers", config.num_layers},
                                 {"hidden_size", config.hidden_size},
                                 {"intermediate_size", config.ffn_hidden_size},
                                 {"num_attention_heads", config.num_attention_heads},
                                 {"num_key_value_heads", config.num_query_groups},
                                 {"head_dim", config.kv_channels},
                                 {"max_position_embeddings", config.max_position_embeddings},
                                 {"vocab_size", config.vocab_size},
                                 {"hidden_act", "silu"},
                                 {"rms_norm_eps", config.norm_epsilon},
                                 {"rope_theta", config.rotary_base},
                                 {"initializer_range", config.init_method_std},
                                 {"attention_dropout", config.attention_dropout},
                                 {"attention_bias", config.add_bias_linear},
                                 {"mlp_bias", config.add_bias_linear},
                                 {"tie_word_embeddings", !config.untie_embeddings_and_output_weights}};
  json["bos_token_id"] = id_or_null(ids.end);
  json["eos_token_id"] = id_or_null(ids.end);
  return json;
}

}  // namespace

HuggingFaceFamily hugging_face_llama() {
  return {.model_type = "llama",
          .title = "Llama",
          .prefix = "model.",
          .modules = {{"model.embed_tokens", {"embedding.word"}},
                      {"model.layers.{}.input_layernorm", {"layers.{}.input_norm"}},
                      {"model.layers.{}.self_attn.q_proj", {"layers.{}.attention.query"}},
                      {"model.layers.{}.self_attn.k_proj", {"layers.{}.attention.key"}},
                      {"model.layers.{}.self_attn.v_proj", {"layers.{}.attention.value"}},
                      {"model.layers.{}.self_attn.o_proj", {"layers.{}.attention.output"}},
                      {"model.layers.{}.post_attention_layernorm", {"layers.{}.mlp_norm"}},
                      {"model.layers.{}.mlp.gate_proj", {"layers.{}.mlp.gate"}},
                      {"model.layers.{}.mlp.up_proj", {"layers.{}.mlp.up"}},
                      {"model.layers.{}.mlp.down_proj", {"layers.{}.mlp.down"}},
                      {"model.norm", {"final_norm"}},
                      {"lm_head", {"head"}}},
          .copies = {{"lm_head.weight", "model.embed_tokens.weight"}},
          .buffers = {".rotary_emb.inv_freq"},
          .read = read,
          .write = write};
}

}  // namespace trireme
