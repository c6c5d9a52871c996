// `trireme checkpoint export STEP --output FOLDER`
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/io/directory.h"
#include "core/io/safetensors.h"
#include "core/models/hugging_face_config.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/checkpoint_commands.h"
#include "launcher/commands/model_files.h"
#include "launcher/commands/new_folder.h"
#include "launcher/config/load.h"
#include "parallel/checkpoint/compatibility.h"
#include "parallel/checkpoint/inspection.h"
#include "parallel/checkpoint/tensor_reader.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;
using checkpoint::Manifest;
using checkpoint::SavedTensor;

/// The weights of a step by name: masters where there are some, unless `dtype` is that of the model's.
std::map<std::string, const SavedTensor*> weights_of(const Manifest& manifest, DType dtype) {
  std::map<std::string, const SavedTensor*> weights;
  for (const char* role : {"master", "model"})
    for (const SavedTensor& tensor : manifest.tensors)
      if (tensor.role == role && (!weights.contains(tensor.name) || tensor.dtype == dtype))
        weights[tensor.name] = &tensor;
  return weights;
}

DType dtype_of(const std::string& name, const RunConfig& config) {
  if (name.empty()) return config.precision.compute();
  return name == "fp32" ? DType::kFloat32 : name == "bf16" ? DType::kBFloat16 : DType::kFloat16;
}

void check_weights(const std::string& step, const Manifest& manifest,
                   const std::vector<LogicalWeight>& weights) {
  std::vector<checkpoint::LogicalTensor> expected;
  for (const LogicalWeight& weight : weights)
    expected.push_back({"model", weight.name, DType::kFloat32, weight.shape, ""});
  const std::vector<std::string> lines = checkpoint::compare_weights(manifest, expected);
  if (!lines.empty())
    throw CheckpointError(fmt::format("'{}' has not the weights of its own architecture:\n  {}", step,
                                      fmt::join(lines, "\n  ")));
}

/// The run's tokenizer, where it is still there and the same.
std::unique_ptr<Tokenizer> find_tokenizer(const RunConfig& config, const std::string& hash) {
  if (hash.empty()) return nullptr;
  const DataConfig& data = config.data;
  const std::string path = !data.tokenizer_path.empty() ? data.tokenizer_path
                           : data.data_path.empty()     ? ""
                                                        : default_tokenizer_path(data.data_path.front());
  if (path.empty() || !fs::exists(path)) {
    log::warning("the run's tokenizer is no longer at '{}': it is left out", path);
    return nullptr;
  }
  std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(path);
  if (tokenizer->content_hash() == hash) return tokenizer;
  log::warning("the tokenizer at '{}' is not the one that the run was trained with: it is left out", path);
  return nullptr;
}

/// tokenizer.json for AutoTokenizer, which knows byte-level BPE only.
bool write_tokenizer(const Tokenizer* tokenizer, const std::string& folder) {
  if (tokenizer == nullptr) return false;
  if (tokenizer->kind() != "byte-level BPE") {
    log::warning("Transformers has no {} tokenizer: it is left out", tokenizer->kind());
    return false;
  }
  tokenizer->save(folder);
  nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  if (const auto end = tokenizer->end_of_document_id()) config["eos_token"] = tokenizer->token(*end);
  io::write_new_file(folder + "/tokenizer_config.json", config.dump(2) + "\n");
  return true;
}

}  // namespace

ExitCode export_checkpoint(const ExportOptions& options) {
  const std::string step = find_step(options.step);
  const Manifest manifest = checkpoint::load_manifest(step);
  RunConfig config = parse_run_config(manifest.state.config_json, step + "/manifest.json");
  config.model.resolve(0, 0);
  if (const auto obstacles = hugging_face_obstacles(config.model); !obstacles.empty())
    throw CheckpointError(
        fmt::format("'{}' has no counterpart in Transformers:\n  {}", step, fmt::join(obstacles, "\n  ")));
  const std::vector<LogicalWeight> ours = logical_weights(config.model);
  check_weights(step, manifest, ours);
  if (hugging_face_family(config.model) == HuggingFaceFamily::kLlama && config.model.hidden_dropout > 0)
    log::warning("model.hidden_dropout {} is left out: Llama's config.json has no such value",
                 config.model.hidden_dropout);
  const std::string output = new_folder(options.output);

  const HuggingFaceFamily family = hugging_face_family(config.model);
  const std::vector<HuggingFaceTensor> tensors =
      hugging_face_tensors(family, config.model.num_layers, shapes_of(ours));
  const DType dtype = dtype_of(options.dtype, config);
  const std::unique_ptr<Tokenizer> tokenizer = find_tokenizer(config, manifest.state.tokenizer_hash);
  std::vector<SafetensorsTensor> planned;
  for (const HuggingFaceTensor& tensor : tensors) planned.push_back({tensor.name, dtype, tensor.shape});

  Context context;
  const std::map<std::string, const SavedTensor*> weights = weights_of(manifest, dtype);
  io::TemporaryDirectory folder(fmt::format("{}.tmp-{}", output, ::getpid()));
  SafetensorsWriter writer(folder.path(), planned, options.max_file_bytes);
  int64_t num_bytes = 0;
  for (const HuggingFaceTensor& tensor : tensors) {
    const Tensor packed = pack(context, tensor, dtype, [&](const std::string& name) {
      return checkpoint::read_tensor(context, step, manifest, *weights.at(name));
    });
    num_bytes += packed.num_bytes();
    writer.write(packed);
  }
  writer.finish();
  const bool has_tokenizer = write_tokenizer(tokenizer.get(), folder.path());
  io::write_new_file(
      folder.path() + "/config.json",
      to_hugging_face(config.model, dtype, tokenizer ? tokenizer->end_of_document_id() : std::nullopt));
  folder.commit(output);
  fmt::print("{}: {} of step {}, {} tensors, {} bytes, {}{}\n", output,
             family == HuggingFaceFamily::kGpt2 ? "GPT2LMHeadModel" : "LlamaForCausalLM", manifest.state.step,
             tensors.size(), num_bytes, name_of(dtype), has_tokenizer ? ", with its tokenizer" : "");
  return ExitCode::kOk;
}

}  // namespace trireme
