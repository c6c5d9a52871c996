#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/data/sample_needs.h"
#include "core/models/model.h"
#include "core/models/model_config.h"
#include "core/nn/layer_builder.h"

namespace trireme {

/// A model family: all that the rest of Trireme asks of it.
struct Family {
  const char* name;        ///< in run files
  bool generates = false;  ///< makes text from left to right
  /// What the keys of section `model` are where a run file says nothing; `family` is this one's name.
  ModelConfig (*defaults)();
  /// Derives what is its own, and adds a sentence for every option that makes no sense for it.
  void (*check)(ModelConfig& config, std::vector<std::string>& errors);
  std::unique_ptr<Model> (*make)(const ModelConfig& config, nn::LayerBuilder& builder);
  /// What the family learns from: the objective, also of a config that is not resolved, and what it asks of
  /// samples.
  SampleNeeds (*needs)(const ModelConfig& config);
  bool splits_over_tensor_ranks = true;
};

/// The table of families; no registration at run time.
std::span<const Family> families();
/// Throws ConfigError naming those that are there.
const Family& family_named(const std::string& name);

/// For `check` of families that have no encoder beside their decoder, nothing of BERT's, no recurrent layers.
void refuse_encoder(const ModelConfig& config, std::vector<std::string>& errors);
void refuse_bert(const ModelConfig& config, std::vector<std::string>& errors);
void refuse_recurrent(const ModelConfig& config, std::vector<std::string>& errors);
/// For `check` of encoder-decoders: derives the encoder's sizes.
void complete_encoder(ModelConfig& config, std::vector<std::string>& errors);

/// What every encoder-decoder needs.
SampleNeeds translation_needs(const ModelConfig& config);

/// The model of a resolved config. Parameters have shapes and no memory.
std::unique_ptr<Model> make_model(const ModelConfig& config, nn::LayerBuilder& builder);

}  // namespace trireme
