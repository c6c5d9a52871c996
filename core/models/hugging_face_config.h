#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/models/hugging_face_family.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace trireme {

/// What a family of Transformers cannot say of a model, a sentence each.
struct HuggingFaceLimits {
  std::vector<std::string> obstacles;  ///< it would compute another function
  std::vector<std::string> left_out;   ///< dropout, which it would not have in training
};
/// Of the model `config` (resolved) with the logical tensors `ours`: config.json is written, read back and
/// compared, so whatever the family does not know is found. Initialisation and label smoothing do not count.
HuggingFaceLimits hugging_face_limits(const ModelConfig& config, const std::map<std::string, Shape>& ours);

/// The text of config.json. `dtype` of the weights. No obstacles.
std::string to_hugging_face(const ModelConfig& config, DType dtype, const HuggingFaceIds& ids);

/// The family and the resolved model that an untrusted config.json describes, with tensors of these names
/// beside it. DataError naming `where` and listing everything that is missing, out of range or cannot be
/// expressed.
struct HuggingFaceModel {
  const HuggingFaceFamily* family = nullptr;
  ModelConfig config;
  std::map<std::string, std::string> names;  ///< in the files, by those that whole models have now
  bool bare = false;                         ///< the files hold the body alone: what has the family's prefix
  std::vector<std::string> left_out;         ///< what it says of training that the model has not
};
HuggingFaceModel from_hugging_face(const std::string& config_json, const std::vector<std::string>& names,
                                   const std::string& where);

}  // namespace trireme
