// transformers/models/gpt2/modeling_gpt2.py
#include <fmt/format.h>

#include "core/models/hugging_face_family.h"

namespace trireme {
namespace {

ModelConfig read(HuggingFaceReader& reader) {
  ModelConfig config;
  config.num_layers = reader.integer("n_layer");
  config.hidden_size = reader.integer("n_embd");
  config.ffn_hidden_size = reader.integer("n_inner", 0);
  config.num_attention_heads = reader.integer("n_head");
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("n_positions");
  config.norm_epsilon = reader.number("layer_norm_epsilon", 1e-5);
  config.init_method_std = reader.number("initializer_range", 0.02);
  config.untie_embeddings_and_output_weights = !reader.boolean("tie_word_embeddings", true);
  config.hidden_dropout = reader.number("resid_pdrop", 0.1);
  config.attention_dropout = reader.number("attn_pdrop", 0.1);
  if (reader.number("embd_pdrop", 0.1) != config.hidden_dropout)
    reader.problem("embd_pdrop", fmt::format("resid_pdrop's {}", config.hidden_dropout));
  config.activation = reader.activation("activation_function", "gelu_new");
  reader.only("scale_attn_weights", true);
  reader.only("scale_attn_by_inverse_layer_idx", false);
  reader.only("add_cross_attention", false);
  reader.absent("quantization_config");
  return config;
}

nlohmann::ordered_json write(const ModelConfig& config, const HuggingFaceIds& ids) {
  nlohmann::ordered_json json = {
      {"architectures", {"GPT2LMHeadModel"}},
      {"model_type", "gpt2"},
      {"n_layer", config.num_layers},
      {"n_embd", config.hidden_size},
      {"n_inner", config.ffn_hidden_size},
      {"n_head", config.num_attention_heads},
      {"n_positions", config.max_position_embeddings},
      {"vocab_size", config.vocab_size},
      {"activation_function", hugging_face_activation(config.activation, "gelu_new")},
      {"layer_norm_epsilon", config.norm_epsilon},
      {"initializer_range", config.init_method_std},
      {"resid_pdrop", config.hidden_dropout},
      {"embd_pdrop", config.hidden_dropout},
      {"attn_pdrop", config.attention_dropout},
      {"tie_word_embeddings", !config.untie_embeddings_and_output_weights}};
  json["bos_token_id"] = id_or_null(ids.end);
  json["eos_token_id"] = id_or_null(ids.end);
  return json;
}

}  // namespace

HuggingFaceFamily hugging_face_gpt2() {
  return {.model_type = "gpt2",
          .title = "GPT-2",
          .prefix = "transformer.",
          .modules = {{"transformer.wte", {"embedding.word"}},
                      {"transformer.wpe", {"embedding.position"}},
                      {"transformer.h.{}.ln_1", {"layers.{}.input_norm"}},
                      {"transformer.h.{}.attn.c_attn",
                       {"layers.{}.attention.query", "layers.{}.attention.key", "layers.{}.attention.value"},
                       true},
                      {"transformer.h.{}.attn.c_proj", {"layers.{}.attention.output"}, true},
                      {"transformer.h.{}.ln_2", {"layers.{}.mlp_norm"}},
                      {"transformer.h.{}.mlp.c_fc", {"layers.{}.mlp.up"}, true},
                      {"transformer.h.{}.mlp.c_proj", {"layers.{}.mlp.down"}, true},
                      {"transformer.ln_f", {"final_norm"}},
                      {"lm_head", {"head"}}},
          .copies = {{"lm_head.weight", "transformer.wte.weight"}},
          .buffers = {".attn.bias", ".attn.masked_bias"},
          .read = read,
          .write = write};
}

}  // namespace trireme
