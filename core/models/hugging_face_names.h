#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/models/model_config.h"
#include "core/tensor/shape.h"

namespace trireme {

/// Families of Hugging Face Transformers (transformers/models) whose files are read and written.
enum class HuggingFaceFamily { kGpt2, kLlama };

/// A tensor of a Transformers file and the logical tensors it is made of.
struct HuggingFaceTensor {
  std::string name;
  Shape shape;
  std::vector<std::string> pieces;  ///< ours; their rows lie one after another
  bool transposed = false;          ///< stored as [in, out] where ours is [out, in] (GPT-2's Conv1D)
};

/// Every tensor of a model with the logical tensors `ours` (name -> shape), in forward order. Each of ours is
/// in exactly one; our own bug otherwise.
std::vector<HuggingFaceTensor> hugging_face_tensors(HuggingFaceFamily family, int64_t num_layers,
                                                    const std::map<std::string, Shape>& ours);

/// What every name but the head's begins with; files of the bare model lack it.
const char* base_prefix(HuggingFaceFamily family);

/// Whether a file may hold this tensor without its being a weight: masks and frequencies of old versions.
bool is_buffer(HuggingFaceFamily family, const std::string& name);

/// The head's matrix, and the embedding it equals where they are tied.
inline constexpr const char* kHeadName = "lm_head.weight";
std::string embedding_name(HuggingFaceFamily family);

}  // namespace trireme
