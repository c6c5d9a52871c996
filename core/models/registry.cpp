#include "core/models/registry.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme {

// One line a family; each is made by the file of its name.
Family bert_family();
Family gpt_family();
Family recurrent_family();
Family transformer_family();

std::span<const Family> families() {
  static const Family table[] = {gpt_family(), bert_family(), transformer_family(), recurrent_family()};
  return table;
}

const Family& family_named(const std::string& name) {
  std::string known;
  for (const Family& family : families()) {
    if (name == family.name) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  throw ConfigError(fmt::format("model.family: given {}, expected one of {}", name, known));
}

namespace {

void refuse(const ModelConfig& config, const char* key, const char* owner, std::vector<std::string>& errors) {
  errors.push_back(fmt::format("model.{}: given a value, expected none with model.family {}: it is of {}",
                               key, config.family, owner));
}

}  // namespace

void refuse_encoder(const ModelConfig& config, std::vector<std::string>& errors) {
  constexpr const char* kOwner = "encoder-decoders";
  if (config.encoder_num_layers != 0) refuse(config, "encoder_num_layers", kOwner, errors);
  if (config.source_vocab_size != 0) refuse(config, "source_vocab_size", kOwner, errors);
  if (!config.share_source_embedding) refuse(config, "share_source_embedding", kOwner, errors);
}

void refuse_bert(const ModelConfig& config, std::vector<std::string>& errors) {
  constexpr const char* kOwner = "bert";
  if (config.num_token_types != 0) refuse(config, "num_token_types", kOwner, errors);
  if (config.next_sentence_head) refuse(config, "next_sentence_head", kOwner, errors);
  if (config.num_classes != 0) refuse(config, "num_classes", kOwner, errors);
}

void refuse_recurrent(const ModelConfig& config, std::vector<std::string>& errors) {
  constexpr const char* kOwner = "recurrent";
  if (config.recurrent()) refuse(config, "recurrent_cell", kOwner, errors);
  if (config.recurrent_attention != RecurrentAttention::kNone)
    refuse(config, "recurrent_attention", kOwner, errors);
  if (config.attention_context != AttentionContext::kInput)
    refuse(config, "attention_context", kOwner, errors);
  if (config.bidirectional_encoder) refuse(config, "bidirectional_encoder", kOwner, errors);
  if (config.recurrent_norm) refuse(config, "recurrent_norm", kOwner, errors);
}

void complete_encoder(ModelConfig& config, std::vector<std::string>& errors) {
  if (config.encoder_num_layers == 0) config.encoder_num_layers = config.num_layers;
  if (config.source_vocab_size == 0) config.source_vocab_size = config.vocab_size;
  if (config.share_source_embedding && config.source_vocab_size != config.vocab_size)
    errors.push_back(
        fmt::format("model.share_source_embedding: given true, expected false with source_vocab_size "
                    "{} and vocab_size {}: one matrix has one vocabulary",
                    config.source_vocab_size, config.vocab_size));
}

SampleNeeds translation_needs(const ModelConfig& config) {
  return {.objective = Objective::kTranslation,
          .vocab_size = config.vocab_size,
          .source_vocab_size = config.source_vocab_size};
}

std::unique_ptr<Model> make_model(const ModelConfig& config, nn::LayerBuilder& builder) {
  return family_named(config.family).make(config, builder);
}

}  // namespace trireme
