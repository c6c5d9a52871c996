#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/models/hugging_face_names.h"
#include "core/models/model_config.h"
#include "core/tensor/dtype.h"

namespace trireme {

/// The family that computes the same function: by its positions.
HuggingFaceFamily hugging_face_family(const ModelConfig& config);

/// What keeps the family from computing what `config` (resolved) says, a sentence each; empty: nothing.
/// Dropout changes no function: what the family cannot say of it is left out.
std::vector<std::string> hugging_face_obstacles(const ModelConfig& config);

/// The text of config.json for transformers.AutoModelForCausalLM. `dtype` of the weights; `end_of_document`:
/// the id that ends a text, if there is one. No obstacles.
std::string to_hugging_face(const ModelConfig& config, DType dtype, std::optional<int32_t> end_of_document);

/// The family and the resolved model that an untrusted config.json describes. DataError naming `where` and
/// listing everything that is missing, out of range or cannot be expressed.
struct HuggingFaceModel {
  HuggingFaceFamily family = HuggingFaceFamily::kGpt2;
  ModelConfig config;
};
HuggingFaceModel from_hugging_face(const std::string& config_json, const std::string& where);

}  // namespace trireme
