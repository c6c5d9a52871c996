#include "core/models/registry.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme {

// One line a family; each is made by the file of its name.
Family gpt_family();
Family transformer_family();

std::span<const Family> families() {
  static const Family table[] = {gpt_family(), transformer_family()};
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

void refuse_encoder(const ModelConfig& config, std::vector<std::string>& errors) {
  const auto refuse = [&](const char* key) {
    errors.push_back(
        fmt::format("model.{}: given a value, expected none with model.family {}: it is of encoder-decoders",
                    key, config.family));
  };
  if (config.encoder_num_layers != 0) refuse("encoder_num_layers");
  if (config.source_vocab_size != 0) refuse("source_vocab_size");
  if (!config.share_source_embedding) refuse("share_source_embedding");
}

std::unique_ptr<Model> make_model(const ModelConfig& config, nn::LayerBuilder& builder) {
  return family_named(config.family).make(config, builder);
}

}  // namespace trireme
