#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/models/hugging_face_reader.h"
#include "core/models/model_config.h"

namespace trireme {

/// A module of theirs and those of ours that it packs, weights and biases; "{}" stands for the number of a
/// layer.
struct HuggingFaceModule {
  const char* theirs;
  std::vector<const char*> ours;
  bool transposed = false;  ///< weights are [in, out] where ours are [out, in] (GPT-2's Conv1D)
};

/// What a config.json says of the tokenizer.
struct HuggingFaceIds {
  std::optional<int32_t> begin, end, pad;
};

nlohmann::ordered_json id_or_null(const std::optional<int32_t>& id);

/// A family of Hugging Face Transformers (transformers/models) whose files are read and written.
struct HuggingFaceFamily {
  using NamePairs = std::vector<std::pair<const char*, const char*>>;

  const char* model_type;  ///< in config.json
  const char* title;       ///< in messages
  const char* prefix;      ///< of every name but the heads'; files of the bare model lack it
  /// In forward order; those of the layers of one stack stand together.
  std::vector<HuggingFaceModule> modules;
  NamePairs copies = {};                ///< tensors that a file may hold as well, and those they must equal
  NamePairs old_names = {};             ///< ends of names in files of old versions, and what they are now
  std::vector<const char*> zeros = {};  ///< tensors that a file may hold if they are zero
  std::vector<const char*> sinusoids = {};  ///< tables of Marian's sinusoids, which a file may hold
  std::vector<const char*> buffers = {};    ///< ends of names that are no weights
  /// The model of a config.json.
  ModelConfig (*read)(HuggingFaceReader& reader);
  /// config.json. What it cannot say is written as something else: hugging_face_obstacles() finds it.
  nlohmann::ordered_json (*write)(const ModelConfig& config, const HuggingFaceIds& ids);
};

/// The table.
std::span<const HuggingFaceFamily> hugging_face_families();
/// The one that may compute the same function.
const HuggingFaceFamily& hugging_face_family(const ModelConfig& config);

}  // namespace trireme
