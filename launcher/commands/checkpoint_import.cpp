// `trireme checkpoint import FOLDER --output RUN`
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/strict_json.h"
#include "core/io/directory.h"
#include "core/io/safetensors.h"
#include "core/models/hugging_face_config.h"
#include "core/text/tokenizer.h"
#include "launcher/commands/checkpoint_commands.h"
#include "launcher/commands/model_files.h"
#include "launcher/commands/new_folder.h"
#include "launcher/config/print.h"
#include "parallel/checkpoint/weights_step.h"

namespace trireme {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kLargestConfig = int64_t{16} << 20;
constexpr int64_t kShardBytes = int64_t{1} << 30;

/// A model in a folder of Transformers, checked against what its config.json says.
class ForeignModel {
 public:
  ForeignModel(Context& context, const std::string& folder)
      : context_(context),
        folder_(folder),
        model_(from_hugging_face(read_config(folder), folder + "/config.json")),
        files_(folder),
        weights_(logical_weights(model_.config)),
        tensors_(hugging_face_tensors(model_.family, model_.config.num_layers, shapes_of(weights_))) {
    const std::string prefix = base_prefix(model_.family);
    has_prefix_ = std::any_of(files_.entries().begin(), files_.entries().end(),
                              [&](const auto& entry) { return entry.first.starts_with(prefix); });
    check_tensors();
    check_tied_head();
  }

  const ModelConfig& config() const { return model_.config; }
  HuggingFaceFamily family() const { return model_.family; }
  const std::vector<LogicalWeight>& weights() const { return weights_; }

  /// The type of all tensors; float32 where they differ, or float64 where one is.
  DType common_dtype() const {
    std::set<DType> dtypes;
    for (const HuggingFaceTensor& tensor : tensors_) dtypes.insert(entry(tensor.name).dtype);
    if (dtypes.size() == 1) return *dtypes.begin();
    return dtypes.contains(DType::kFloat64) ? DType::kFloat64 : DType::kFloat32;
  }

  Tensor load(const std::string& name, DType dtype) {
    for (const HuggingFaceTensor& tensor : tensors_) {
      int64_t row = 0;
      for (const std::string& piece : tensor.pieces) {
        const int64_t rows = shape_of(piece)[0];
        if (piece == name) return unpack(context_, tensor, stored(tensor), row, rows, dtype);
        row += rows;
      }
    }
    throw InternalError(name + " is in no file");
  }

 private:
  static std::string read_config(const std::string& folder) {
    std::error_code error;
    const fs::path path = fs::canonical(folder + "/config.json", error);
    if (error)
      throw DataError(
          fmt::format("'{}/config.json' cannot be opened: {}; give a folder that Transformers' "
                      "save_pretrained() made",
                      folder, error.message()));
    return io::read_file(path.string(), kLargestConfig);
  }

  std::string name_in_file(const std::string& name) const {
    const std::string prefix = base_prefix(model_.family);
    return !has_prefix_ && name.starts_with(prefix) ? name.substr(prefix.size()) : name;
  }
  const SafetensorsEntry& entry(const std::string& name) const {
    return files_.entries().at(name_in_file(name));
  }
  const Shape& shape_of(const std::string& piece) const {
    return std::find_if(weights_.begin(), weights_.end(),
                        [&](const LogicalWeight& weight) { return weight.name == piece; })
        ->shape;
  }

  void check_tensors() const {
    std::vector<std::string> lines;
    std::set<std::string> known;
    for (const HuggingFaceTensor& tensor : tensors_) {
      const std::string name = name_in_file(tensor.name);
      known.insert(name);
      const auto found = files_.entries().find(name);
      if (found == files_.entries().end())
        lines.push_back(fmt::format("{} is missing", name));
      else if (found->second.shape != tensor.shape)
        lines.push_back(fmt::format("{} has shape {}, expected {}", name, to_string(found->second.shape),
                                    to_string(tensor.shape)));
      else if (!is_floating(found->second.dtype))
        lines.push_back(
            fmt::format("{} is {}, expected a floating type", name, name_of(found->second.dtype)));
    }
    for (const auto& [name, given] : files_.entries())
      if (!known.contains(name) && !is_buffer(model_.family, name) && !(is_tied() && name == kHeadName))
        lines.push_back(fmt::format("{} is not expected", printable(name)));
    if (!lines.empty())
      throw DataError(fmt::format("'{}' does not hold the model that its config.json describes:\n  {}",
                                  folder_, fmt::join(lines, "\n  ")));
  }

  bool is_tied() const { return !model_.config.untie_embeddings_and_output_weights; }

  /// Files may hold a tied head as well; then it must be the embedding.
  void check_tied_head() const {
    if (!is_tied() || !files_.entries().contains(kHeadName)) return;
    const std::string embedding = name_in_file(embedding_name(model_.family));
    const Tensor a = files_.read(context_, kHeadName, MemoryCategory::kWorkspace);
    const Tensor b = files_.read(context_, embedding, MemoryCategory::kWorkspace);
    if (a.shape() != b.shape() || a.dtype() != b.dtype() ||
        std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.num_bytes())) != 0)
      throw DataError(
          fmt::format("'{}': config.json says tie_word_embeddings, but {} is not {}; set tie_word_embeddings "
                      "to false to keep both",
                      folder_, kHeadName, embedding));
  }

  /// Pieces of one tensor are asked for one after another.
  const Tensor& stored(const HuggingFaceTensor& tensor) {
    if (last_name_ != tensor.name) {
      last_ = Tensor();
      last_ = files_.read(context_, name_in_file(tensor.name), MemoryCategory::kWorkspace);
      last_name_ = tensor.name;
    }
    return last_;
  }

  Context& context_;
  std::string folder_;
  HuggingFaceModel model_;
  SafetensorsFolder files_;
  std::vector<LogicalWeight> weights_;
  std::vector<HuggingFaceTensor> tensors_;
  bool has_prefix_ = false;
  std::string last_name_;
  Tensor last_;
};

/// The folder's tokenizer, where it has one that is supported and fits.
std::unique_ptr<Tokenizer> find_tokenizer(const std::string& folder, int64_t vocab_size) {
  const std::string path = folder + "/tokenizer.json";
  if (!fs::exists(path)) return nullptr;
  try {
    std::unique_ptr<Tokenizer> tokenizer = load_tokenizer(path);
    if (tokenizer->vocab_size() <= vocab_size) return tokenizer;
    log::warning("'{}' has {} tokens, the model {}: it is left out", path, tokenizer->vocab_size(),
                 vocab_size);
  } catch (const DataError& error) {
    log::warning("the tokenizer is left out: {}", error.what());
  }
  return nullptr;
}

Precision precision_of(DType dtype) {
  return dtype == DType::kFloat64    ? Precision::kFp64
         : dtype == DType::kBFloat16 ? Precision::kBf16
         : dtype == DType::kFloat16  ? Precision::kFp16
                                     : Precision::kFp32;
}

TrainingState state_of(const RunConfig& config, const Tokenizer* tokenizer) {
  const nlohmann::json json = nlohmann::json::parse(to_canonical_json(config));
  TrainingState state;
  state.run_id = "import";
  state.precision = json["precision"]["dtype"];
  state.config_json = json.dump();
  state.architecture_json = json["model"].dump();
  state.optimizer_json = json["optimizer"].dump();
  if (tokenizer != nullptr) state.tokenizer_hash = tokenizer->content_hash();
  return state;
}

}  // namespace

ExitCode import_checkpoint(const ImportOptions& options) {
  Context context;
  ForeignModel model(context, options.input);
  const DType dtype = model.common_dtype();
  const std::unique_ptr<Tokenizer> tokenizer = find_tokenizer(options.input, model.config().vocab_size);
  const std::string output = new_folder(options.output);

  RunConfig config;
  config.model = model.config();
  config.data.seq_length = std::min(config.data.seq_length, config.model.max_position_embeddings);
  config.precision.dtype = precision_of(dtype);
  config.training.output_dir = output;
  if (tokenizer) config.data.tokenizer_path = output + "/tokenizer";

  std::vector<checkpoint::LogicalTensor> tensors;
  for (const LogicalWeight& weight : model.weights())
    tensors.push_back(
        {"model", weight.name, dtype, weight.shape, weight.weight_decay ? "decay" : "no_decay"});
  io::TemporaryDirectory folder(fmt::format("{}.tmp-{}", output, ::getpid()));
  checkpoint::write_weights_step(
      folder.path() + "/checkpoints", state_of(config, tokenizer.get()), tensors,
      [&](const checkpoint::LogicalTensor& tensor) { return model.load(tensor.name, dtype); }, kShardBytes);
  if (tokenizer) tokenizer->save(folder.path() + "/tokenizer");
  io::write_new_file(folder.path() + "/config.yaml", to_yaml(config));
  io::write_new_file(folder.path() + "/model.yaml", to_yaml(config, false, "model"));
  folder.commit(output);
  fmt::print(
      "{}: {}, {} tensors, {}{}\nto train on from it: includes: [{}/model.yaml], and "
      "training.initialize_from: {}\n",
      output, model.family() == HuggingFaceFamily::kGpt2 ? "GPT-2" : "Llama", tensors.size(), name_of(dtype),
      tokenizer ? ", with its tokenizer" : "", output, output);
  return ExitCode::kOk;
}

}  // namespace trireme
