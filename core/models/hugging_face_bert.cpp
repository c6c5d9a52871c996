// transformers/models/bert/modeling_bert.py
#include <fmt/format.h>

#include "core/models/hugging_face_family.h"
#include "core/models/registry.h"

namespace trireme {
namespace {

constexpr const char* kPretraining = "BertForPreTraining";
constexpr const char* kMaskedLm = "BertForMaskedLM";
constexpr const char* kClassifier = "BertForSequenceClassification";
constexpr const char* kBare = "BertModel";

/// Transformers says how many in the names of the labels; two, where there are none.
int64_t read_num_labels(HuggingFaceReader& reader, double hidden_dropout) {
  const nlohmann::json* names = reader.find("id2label");
  const int64_t num_labels =
      names != nullptr && names->is_object() ? std::ssize(*names) : reader.integer("num_labels", 2);
  if (num_labels < 2) reader.problem("id2label", "two labels or more (regression is not supported)");
  reader.only("problem_type", "single_label_classification");
  if (const double dropout = reader.number("classifier_dropout", hidden_dropout); dropout != 0)
    reader.leave_out(fmt::format("classifier_dropout {}: there is no dropout after the pooler", dropout));
  return num_labels;
}

/// Files tell the heads apart better than `architectures`: BERT's own say BertForMaskedLM and hold both.
void read_heads(HuggingFaceReader& reader, ModelConfig& config) {
  reader.architectures({kPretraining, kMaskedLm, kClassifier, kBare});
  if (reader.holds("classifier.weight")) {
    config.num_classes = read_num_labels(reader, config.hidden_dropout);
    return;
  }
  const bool bare = !reader.holds("cls.predictions.bias");
  if (bare) reader.set_bare();
  config.next_sentence_head = reader.holds(bare ? "bert.pooler.dense.weight" : "cls.seq_relationship.weight");
}

ModelConfig read(HuggingFaceReader& reader) {
  ModelConfig config = family_named("bert").defaults();
  config.num_layers = reader.integer("num_hidden_layers");
  config.hidden_size = reader.integer("hidden_size");
  config.ffn_hidden_size = reader.integer("intermediate_size");
  config.num_attention_heads = reader.integer("num_attention_heads");
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("max_position_embeddings");
  config.num_token_types = reader.integer("type_vocab_size", 2);
  if (config.num_token_types == 0) reader.problem("type_vocab_size", "1 or more");
  config.norm_epsilon = reader.number("layer_norm_eps", 1e-12);
  config.init_method_std = reader.number("initializer_range", 0.02);
  config.hidden_dropout = reader.number("hidden_dropout_prob", 0.1);
  config.attention_dropout = reader.number("attention_probs_dropout_prob", 0.1);
  config.activation = reader.activation("hidden_act", "gelu");
  read_heads(reader, config);
  reader.only("tie_word_embeddings", true);
  reader.only("position_embedding_type", "absolute");
  reader.only("is_decoder", false);
  reader.only("add_cross_attention", false);
  reader.absent("quantization_config");
  return config;
}

nlohmann::ordered_json write(const ModelConfig& config, const HuggingFaceIds& ids) {
  const char* architecture = config.num_classes > 0      ? kClassifier
                             : config.next_sentence_head ? kPretraining
                                                         : kMaskedLm;
  nlohmann::ordered_json json = {{"architectures", {architecture}},
                                 {"model_type", "bert"},
                                 {"num_hidden_layers", config.num_layers},
                                 {"hidden_size", config.hidden_size},
                                 {"intermediate_size", config.ffn_hidden_size},
                                 {"num_attention_heads", config.num_attention_heads},
                                 {"vocab_size", config.vocab_size},
                                 {"max_position_embeddings", config.max_position_embeddings},
                                 {"type_vocab_size", config.num_token_types},
                                 {"hidden_act", hugging_face_activation(config.activation, "gelu")},
                                 {"layer_norm_eps", config.norm_epsilon},
                                 {"initializer_range", config.init_method_std},
                                 {"hidden_dropout_prob", config.hidden_dropout},
                                 {"attention_probs_dropout_prob", config.attention_dropout},
                                 {"tie_word_embeddings", true},
                                 {"pad_token_id", id_or_null(ids.pad)}};
  if (config.num_classes == 0) return json;
  json["classifier_dropout"] = 0.0;
  for (int64_t label = 0; label < config.num_classes; ++label)
    json["id2label"][std::to_string(label)] = "LABEL_" + std::to_string(label);
  for (int64_t label = 0; label < config.num_classes; ++label)
    json["label2id"]["LABEL_" + std::to_string(label)] = label;
  return json;
}

}  // namespace

HuggingFaceFamily hugging_face_bert() {
  return {.model_type = "bert",
          .title = "BERT",
          .prefix = "bert.",
          .modules = {{"bert.embeddings.word_embeddings", {"embedding.word"}},
                      {"bert.embeddings.position_embeddings", {"embedding.position"}},
                      {"bert.embeddings.token_type_embeddings", {"embedding.segment"}},
                      {"bert.embeddings.LayerNorm", {"embedding.norm"}},
                      {"bert.encoder.layer.{}.attention.self.query", {"layers.{}.attention.query"}},
                      {"bert.encoder.layer.{}.attention.self.key", {"layers.{}.attention.key"}},
                      {"bert.encoder.layer.{}.attention.self.value", {"layers.{}.attention.value"}},
                      {"bert.encoder.layer.{}.attention.output.dense", {"layers.{}.attention.output"}},
                      {"bert.encoder.layer.{}.attention.output.LayerNorm", {"layers.{}.attention_norm"}},
                      {"bert.encoder.layer.{}.intermediate.dense", {"layers.{}.mlp.up"}},
                      {"bert.encoder.layer.{}.output.dense", {"layers.{}.mlp.down"}},
                      {"bert.encoder.layer.{}.output.LayerNorm", {"layers.{}.mlp_norm"}},
                      {"bert.pooler.dense", {"pooler"}},
                      {"cls.predictions.transform.dense", {"head.transform"}},
                      {"cls.predictions.transform.LayerNorm", {"head.norm"}},
                      {"cls.predictions", {"head"}},
                      {"cls.seq_relationship", {"next_sentence"}},
                      {"classifier", {"classifier"}}},
          .copies = {{"cls.predictions.decoder.weight", "bert.embeddings.word_embeddings.weight"},
                     {"cls.predictions.decoder.bias", "cls.predictions.bias"}},
          .old_names = {{".LayerNorm.gamma", ".LayerNorm.weight"}, {".LayerNorm.beta", ".LayerNorm.bias"}},
          .buffers = {"embeddings.position_ids"},
          .read = read,
          .write = write};
}

}  // namespace trireme
