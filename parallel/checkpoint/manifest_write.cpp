#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/check.h"
#include "core/io/digest.h"
#include "parallel/checkpoint/manifest.h"
#include "parallel/checkpoint/manifest_tail.h"

namespace trireme::checkpoint {
namespace {

// Ordered, so that a person finds the step at the top and the digest is the last member.
using Json = nlohmann::ordered_json;

Json object_of(const std::string& text) {
  return Json::parse(canonical_json(text));
}

Json to_object(const SavedTensor& tensor) {
  Json boxes = Json::array();
  for (const SavedBox& saved : tensor.boxes)
    boxes.push_back({{"file", saved.file},
                     {"file_offset", saved.file_offset},
                     {"nbytes", saved.num_bytes},
                     {"offset", saved.box.offset},
                     {"extent", saved.box.extent},
                     {"digests", saved.digests}});
  return {{"name", tensor.name},
          {"role", tensor.role},
          {"shape", tensor.shape},
          {"dtype", name_of(tensor.dtype)},
          {"parameter_group", tensor.parameter_group},
          {"tied_to", tensor.tied_to.empty() ? Json(nullptr) : Json(tensor.tied_to)},
          {"boxes", std::move(boxes)}};
}

Json head_of(const Manifest& manifest) {
  const TrainingState& state = manifest.state;
  return {{"format", kFormatName},
          {"format_version", manifest.format_version},
          {"writer", manifest.writer},
          {"libraries", manifest.libraries},
          {"run_id", state.run_id},
          {"parent_run_id", state.parent_run_id},
          {"step", state.step},
          {"tokens", state.tokens},
          {"samples", state.samples},
          {"precision", state.precision},
          {"num_ranks", manifest.num_ranks},
          {"mesh", object_of(state.mesh_json)},
          {"architecture", object_of(state.architecture_json)},
          {"architecture_hash", manifest.architecture_hash},
          {"tokenizer_hash", state.tokenizer_hash},
          {"dataset", object_of(state.dataset_json)},
          {"optimizer", object_of(state.optimizer_json)},
          {"schedule", object_of(state.schedule_json)},
          {"loss_scaler", object_of(state.loss_scaler_json)},
          {"config", object_of(state.config_json)},
          {"block_bytes", manifest.block_bytes}};
}

}  // namespace

std::string canonical_json(const std::string& text) {
  // nlohmann::json (unordered) sorts keys.
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, false);
  TRIREME_ASSERT(parsed.is_object(), "state that is to be saved is no JSON object: " + text);
  return parsed.dump();
}

std::string head_json(const Manifest& manifest) {
  return head_of(manifest).dump();
}

std::string to_json(const Manifest& manifest) {
  Json root = head_of(manifest);
  Json files = Json::object();
  for (const auto& [name, file] : manifest.files)
    files[name] = {{"size", file.size}, {"digest", file.digest}};
  root["files"] = std::move(files);
  Json tensors = Json::array();
  for (const SavedTensor& tensor : manifest.tensors) tensors.push_back(to_object(tensor));
  root["tensors"] = std::move(tensors);

  std::string text = root.dump(1);
  text.resize(text.size() - 2);  // without the closing "\n}"
  text += kBeforeDigest;
  return text + digest_tail(io::digest_of(text));
}

}  // namespace trireme::checkpoint
