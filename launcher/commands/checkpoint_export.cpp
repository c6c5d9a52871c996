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

HuggingFaceIds ids_of(const Tokenizer* tokenizer) {
  if (tokenizer == nullptr) return {};
  const SpecialIds& special = tokenizer->special();
  return {special.begin, special.end, special.pad};
}

/// tokenizer.json for AutoTokenizer, which knows byte-level BPE and WordPiece of our kinds.
bool write_tokenizer(const Tokenizer* tokenizer, const std::string& folder) {
  if (tokenizer == nullptr) return false;
  if (tokenizer->kind() != "byte-level BPE" && tokenizer->kind() != "WordPiece") {
    log::warning("Transformers has no {} tokenizer: it is left out", tokenizer->kind());
    return false;
  }
  tokenizer->save(folder);
  nlohmann::ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  const SpecialIds& special = tokenizer->special();
  for (const auto& [key, id] : {std::pair{"eos_token", special.end},
                                {"pad_token", special.pad},
                                {"unk_token", special.unknown},
                                {"cls_token", special.cls},
                                {"sep_token", special.sep},
                                {"mask_token", special.mask}})
    if (id) config[key] = tokenizer->token(*id);
  io::write_new_file(folder + "/tokenizer_config.json", config.dump(2) + "\n");
  return true;
}

}  // namespace

ExitCode export_checkpoint(const ExportOptions& options) {
  const std::string step = find_step(options.step);
  const Manifest manifest = checkpoint::load_manifest(step);
  RunConfig config = parse_run_config(manifest.state.config_json, step + "/manifest.json");
  config.model.resolve(0, 0);
  const std::vector<LogicalWeight> ours = logical_weights(config.model);
  const HuggingFaceLimits limits = hugging_face_limits(config.model, shapes_of(ours));
  if (!limits.obstacles.empty())
    throw CheckpointError(fmt::format("'{}' has no counterpart in Transformers:\n  {}", step,
                                      fmt::join(limits.obstacles, "\n  ")));
  check_weights(step, manifest, ours);
  for (const std::string& sentence : limits.left_out) log::warning("left out: {}", sentence);
  const std::string output = new_folder(options.output);

  const std::vector<HuggingFaceTensor> tensors =
      hugging_face_tensors(hugging_face_family(config.model), shapes_of(ours)).tensors;
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
  io::write_new_file(folder.path() + "/config.json",
                     to_hugging_face(config.model, dtype, ids_of(tokenizer.get())));
  folder.commit(output);
  fmt::print("{}: {} of step {}, {} tensors, {} bytes, {}{}\n", output,
             hugging_face_family(config.model).title, manifest.state.step, tensors.size(), num_bytes,
             name_of(dtype), has_tokenizer ? ", with its tokenizer" : "");
  return ExitCode::kOk;
}

}  // namespace trireme
