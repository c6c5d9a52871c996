#include "core/models/hugging_face_names.h"

#include <algorithm>
#include <set>

#include "core/base/check.h"

namespace trireme {
namespace {

constexpr const char* kLayer = "{}";

std::string in_layer(const std::string& name, int64_t layer) {
  std::string text = name;
  const size_t place = text.find(kLayer);
  return place == std::string::npos ? text : text.replace(place, 2, std::to_string(layer));
}

/// What stands before the number of a layer; empty without one.
std::string stack_of(const HuggingFaceModule& module) {
  const std::string name = module.theirs;
  const size_t place = name.find(kLayer);
  return place == std::string::npos ? "" : name.substr(0, place);
}

/// Adds the module's weight or bias, where the model has it.
void add(std::vector<HuggingFaceTensor>& tensors, const HuggingFaceModule& module, int64_t layer,
         const char* kind, const std::map<std::string, Shape>& ours) {
  HuggingFaceTensor tensor{in_layer(module.theirs, layer) + kind, {}, {}};
  for (const char* name : module.ours) {
    const auto found = ours.find(in_layer(name, layer) + kind);
    if (found == ours.end()) return;
    tensor.pieces.push_back(found->first);
    if (tensor.shape.empty())
      tensor.shape = found->second;
    else
      tensor.shape[0] += found->second[0];
  }
  if (module.transposed && tensor.shape.size() == 2) {
    tensor.transposed = true;
    std::swap(tensor.shape[0], tensor.shape[1]);
  }
  tensors.push_back(std::move(tensor));
}

}  // namespace

HuggingFaceTensors hugging_face_tensors(const HuggingFaceFamily& family,
                                        const std::map<std::string, Shape>& ours) {
  HuggingFaceTensors result;
  std::vector<HuggingFaceTensor>& tensors = result.tensors;
  for (auto begin = family.modules.begin(); begin != family.modules.end();) {
    const std::string stack = stack_of(*begin);
    const auto end =
        stack.empty() ? begin + 1 : std::find_if(begin, family.modules.end(), [&](const auto& module) {
          return stack_of(module) != stack;
        });
    for (int64_t layer = 0;; ++layer) {
      const size_t before = tensors.size();
      for (auto module = begin; module != end; ++module)
        for (const char* kind : {".weight", ".bias"}) add(tensors, *module, layer, kind, ours);
      if (stack.empty() || tensors.size() == before) break;
    }
    begin = end;
  }

  std::set<std::string> covered;
  for (const HuggingFaceTensor& tensor : tensors)
    for (const std::string& piece : tensor.pieces)
      TRIREME_ASSERT(covered.insert(piece).second, piece + " has two names in the table");
  for (const auto& [name, shape] : ours)
    if (!covered.contains(name)) result.unnamed.push_back(name);
  return result;
}

std::map<std::string, std::string> current_names(const HuggingFaceFamily& family,
                                                 const std::vector<std::string>& in_files) {
  const std::string prefix = family.prefix;
  const auto first_word = [](const std::string& name) { return name.substr(0, name.find('.')); };
  std::set<std::string> heads;  // first words of what has no prefix anyway
  const auto add_head = [&](const std::string& name) {
    if (!name.starts_with(prefix)) heads.insert(first_word(name));
  };
  for (const HuggingFaceModule& module : family.modules) add_head(module.theirs);
  for (const auto& [theirs, other] : family.copies) add_head(theirs);
  for (const char* theirs : family.zeros) add_head(theirs);

  const bool has_prefix = std::any_of(in_files.begin(), in_files.end(),
                                      [&](const std::string& name) { return name.starts_with(prefix); });
  const auto name_now = [&](const std::string& name) {
    std::string now = has_prefix || heads.contains(first_word(name)) ? name : prefix + name;
    for (const auto& [old, current] : family.old_names)
      if (now.ends_with(old)) now.replace(now.size() - std::string(old).size(), std::string::npos, current);
    return now;
  };
  std::map<std::string, std::string> names;
  for (const std::string& name : in_files)
    if (name_now(name) == name) names[name] = name;
  // An old name beside the one of now stays as it is, and is then not expected.
  for (const std::string& name : in_files)
    names.emplace(names.contains(name_now(name)) ? name : name_now(name), name);
  return names;
}

bool is_buffer(const HuggingFaceFamily& family, const std::string& name) {
  return std::any_of(family.buffers.begin(), family.buffers.end(),
                     [&](const char* end) { return name.ends_with(end); });
}

}  // namespace trireme
