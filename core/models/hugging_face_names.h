#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/models/hugging_face_family.h"
#include "core/tensor/shape.h"

namespace trireme {

/// A tensor of a Transformers file and the logical tensors it is made of.
struct HuggingFaceTensor {
  std::string name;
  Shape shape;
  std::vector<std::string> pieces;  ///< ours; their rows lie one after another
  bool transposed = false;          ///< stored as [in, out] where ours is [out, in] (GPT-2's Conv1D)
};

/// The tensors of a model with the logical tensors `ours` (name -> shape), in forward order.
struct HuggingFaceTensors {
  std::vector<HuggingFaceTensor> tensors;  ///< no tensor of ours is in two
  std::vector<std::string> unnamed;        ///< those of ours that the family's table lacks
};
HuggingFaceTensors hugging_face_tensors(const HuggingFaceFamily& family,
                                        const std::map<std::string, Shape>& ours);

/// The names in files of old versions or of the bare model, by the names that whole models have now.
std::map<std::string, std::string> current_names(const HuggingFaceFamily& family,
                                                 const std::vector<std::string>& in_files);

/// Whether a file may hold this tensor without its being a weight: masks and frequencies of old versions.
bool is_buffer(const HuggingFaceFamily& family, const std::string& name);

}  // namespace trireme
