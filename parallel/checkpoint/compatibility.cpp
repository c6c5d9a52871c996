#include "parallel/checkpoint/compatibility.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"

namespace trireme::checkpoint {
namespace {

using Json = nlohmann::json;

/// "a.b: 1 in the checkpoint, 2 in this run" for every leaf that differs.
std::vector<std::string> leaf_differences(const std::string& saved_text, const std::string& expected_text) {
  const Json saved = Json::parse(saved_text).flatten(),
             expected = Json::parse(canonical_json(expected_text)).flatten();
  std::map<std::string, std::pair<std::string, std::string>> leaves;
  const auto name_of_leaf = [](std::string pointer) {
    std::replace(pointer.begin(), pointer.end(), '/', '.');
    return pointer.empty() ? pointer : pointer.substr(1);
  };
  for (const auto& [pointer, value] : saved.items())
    if (!expected.contains(pointer) || expected[pointer] != value)
      leaves[name_of_leaf(pointer)] = {value.dump(),
                                       expected.contains(pointer) ? expected[pointer].dump() : "nothing"};
  for (const auto& [pointer, value] : expected.items())
    if (!saved.contains(pointer)) leaves[name_of_leaf(pointer)] = {"nothing", value.dump()};
  std::vector<std::string> lines;
  for (const auto& [name, values] : leaves)
    if (!name.empty())
      lines.push_back(
          fmt::format("{}: {} in the checkpoint, {} in this run", name, values.first, values.second));
  return lines;
}

std::string quoted(const std::string& text) {
  return text.empty() ? "none" : text;
}

/// The batch sizes of a resolved configuration, as an object of their own.
std::string batch_sizes(const std::string& config_text) {
  const Json config = Json::parse(canonical_json(config_text));
  Json sizes = Json::object();
  for (const char* key : {"global_batch_size", "micro_batch_size"})
    if (const Json::json_pointer pointer(std::string("/training/") + key); config.contains(pointer))
      sizes["training"][key] = config[pointer];
  return sizes.dump();
}

std::string other_shape(const SavedTensor& saved, const LogicalTensor& wanted) {
  return fmt::format("{} {} has shape {} in the checkpoint, {} in this run", saved.role, saved.name,
                     trireme::to_string(saved.shape), trireme::to_string(wanted.global_shape));
}

/// Weights that are expected and missing, or of another shape (of the masters too).
std::vector<std::string> missing_weights(const Manifest& manifest,
                                         const std::vector<LogicalTensor>& expected) {
  std::map<std::string, const LogicalTensor*> wanted;
  for (const LogicalTensor& tensor : expected) wanted[tensor.name] = &tensor;
  std::set<std::string> found;
  std::vector<std::string> lines;
  for (const SavedTensor& saved : manifest.tensors) {
    const bool weight = saved.role == "model" || saved.role == "master";
    if (!weight || !saved.tied_to.empty() || !wanted.contains(saved.name)) continue;
    if (saved.role == "model") found.insert(saved.name);
    if (saved.shape != wanted[saved.name]->global_shape)
      lines.push_back(other_shape(saved, *wanted[saved.name]));
  }
  for (const LogicalTensor& tensor : expected)
    if (!found.contains(tensor.name))
      lines.push_back(fmt::format("model {} is missing in the checkpoint", tensor.name));
  return lines;
}

std::vector<std::string> unexpected_weights(const Manifest& manifest,
                                            const std::vector<LogicalTensor>& expected) {
  std::set<std::string> names;
  for (const LogicalTensor& tensor : expected) names.insert(tensor.name);
  std::vector<std::string> lines;
  for (const SavedTensor& saved : manifest.tensors)
    if (saved.role == "model" && !names.contains(saved.name))
      lines.push_back(fmt::format("model {} of the checkpoint is not in this run", saved.name));
  return lines;
}

bool matches(const std::string& pattern, const std::string& name) {
  return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

/// Whether a difference of architectures leaves the function that the weights compute as it is.
bool is_free_for_weights(const std::string& line) {
  return line.starts_with("hidden_dropout:") || line.starts_with("attention_dropout:") ||
         line.starts_with("init_method_std:");
}

void compare_optimizers(const TrainingState& saved, const TrainingState& expected, Differences& differences) {
  for (std::string& line : leaf_differences(saved.optimizer_json, expected.optimizer_json)) {
    auto& list = line.starts_with("optimizer:") ? differences.fatal : differences.told;
    list.push_back("optimizer." + std::move(line));
  }
}

}  // namespace

Differences compare_states(const TrainingState& saved, const TrainingState& expected,
                           bool allow_data_change) {
  Differences differences;
  if (saved.precision != expected.precision)
    differences.fatal.push_back(
        fmt::format("precision.dtype: {} in the checkpoint, {} in this run (weights and optimizer state are "
                    "not converted; train on with precision.dtype: {})",
                    quoted(saved.precision), quoted(expected.precision), quoted(saved.precision)));
  for (std::string& line : leaf_differences(saved.architecture_json, expected.architecture_json))
    differences.fatal.push_back("model." + std::move(line));
  if (saved.tokenizer_hash != expected.tokenizer_hash)
    differences.fatal.push_back(fmt::format("tokenizer: {} in the checkpoint, {} in this run",
                                            quoted(saved.tokenizer_hash), quoted(expected.tokenizer_hash)));
  compare_optimizers(saved, expected, differences);
  for (std::string& line : leaf_differences(saved.dataset_json, expected.dataset_json))
    (allow_data_change ? differences.told : differences.fatal)
        .push_back("data set: " + std::move(line) +
                   (allow_data_change ? "" : " (checkpoint.allow_data_change: true allows it)"));
  for (std::string& line :
       leaf_differences(batch_sizes(saved.config_json), batch_sizes(expected.config_json)))
    differences.told.push_back(std::move(line));
  return differences;
}

std::vector<std::string> compare_tensors(const Manifest& manifest,
                                         const std::vector<LogicalTensor>& expected) {
  std::vector<std::string> lines;
  std::map<std::pair<Role, std::string>, const SavedTensor*> saved;
  for (const SavedTensor& tensor : manifest.tensors)
    if (tensor.tied_to.empty()) saved[{tensor.role, tensor.name}] = &tensor;
  for (const LogicalTensor& wanted : expected) {
    const auto found = saved.find({wanted.role, wanted.name});
    const std::string name = wanted.role + " " + wanted.name;
    if (found == saved.end()) {
      lines.push_back(fmt::format("{} is missing in the checkpoint", name));
      continue;
    }
    const SavedTensor& tensor = *found->second;
    if (tensor.shape != wanted.global_shape) lines.push_back(other_shape(tensor, wanted));
    if (tensor.dtype != wanted.dtype)
      lines.push_back(fmt::format("{} is {} in the checkpoint, {} in this run", name, name_of(tensor.dtype),
                                  name_of(wanted.dtype)));
    saved.erase(found);
  }
  for (const auto& [name, tensor] : saved)
    lines.push_back(fmt::format("{} {} of the checkpoint is not in this run", name.first, name.second));
  return lines;
}

std::vector<std::string> compare_weights(const Manifest& manifest,
                                         const std::vector<LogicalTensor>& expected) {
  std::vector<std::string> lines = missing_weights(manifest, expected);
  for (std::string& line : unexpected_weights(manifest, expected)) lines.push_back(std::move(line));
  return lines;
}

WeightsMatch match_weights(const Manifest& manifest, const TrainingState& expected_state,
                           const std::vector<LogicalTensor>& expected, const std::vector<std::string>& only) {
  WeightsMatch match;
  for (const LogicalTensor& tensor : expected)
    if (only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& pattern) {
          return matches(pattern, tensor.name);
        }))
      match.taken.push_back(tensor);
    else
      match.left.push_back(tensor.name);
  for (const std::string& pattern : only)
    if (std::none_of(expected.begin(), expected.end(),
                     [&](const LogicalTensor& tensor) { return matches(pattern, tensor.name); }))
      match.fatal.push_back(
          fmt::format("training.initialize_only: '{}' is the name of no weight of this model", pattern));
  for (std::string& line : missing_weights(manifest, match.taken)) match.fatal.push_back(std::move(line));
  auto& differing = only.empty() ? match.fatal : match.told;
  if (only.empty())
    for (std::string& line : unexpected_weights(manifest, expected)) match.fatal.push_back(std::move(line));
  const TrainingState& saved = manifest.state;
  for (std::string& line : leaf_differences(saved.architecture_json, expected_state.architecture_json)) {
    auto& list = is_free_for_weights(line) ? match.told : differing;
    list.push_back("model." + std::move(line));
  }
  if (!saved.tokenizer_hash.empty() && saved.tokenizer_hash != expected_state.tokenizer_hash)
    differing.push_back(fmt::format("tokenizer: {} in the checkpoint, {} in this run",
                                    quoted(saved.tokenizer_hash), quoted(expected_state.tokenizer_hash)));
  return match;
}

void refuse(const std::string& step_directory, const std::vector<std::string>& differences) {
  if (differences.empty()) return;
  throw CheckpointError(
      fmt::format("'{}' does not fit this run:\n  {}", step_directory, fmt::join(differences, "\n  ")));
}

}  // namespace trireme::checkpoint
