// `trireme checkpoint import FOLDER --output RUN`
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/base/log.h"
#include "core/base/strict_json.h"
#include "core/io/directory.h"
#include "core/io/safetensors.h"
#include "core/models/hugging_face_config.h"
#include "core/ops/elementwise.h"
#include "core/ops/sinusoid.h"
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
        config_json_(read_config(folder)),
        files_(folder),
        model_(from_hugging_face(config_json_, names_of(files_), folder + "/config.json")),
        weights_(logical_weights(model_.config)),
        tensors_(find_tensors()) {
    if (model_.bare) keep_the_body();
    check_tensors();
    check_copies();
    check_sinusoids();
    check_zeros();
  }

  const HuggingFaceModel& model() const { return model_; }
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
  static std::vector<std::string> names_of(const SafetensorsFolder& files) {
    std::vector<std::string> names;
    for (const auto& [name, entry] : files.entries()) names.push_back(name);
    return names;
  }

  std::vector<HuggingFaceTensor> find_tensors() const {
    HuggingFaceTensors found = hugging_face_tensors(*model_.family, shapes_of(weights_));
    TRIREME_ASSERT(found.unnamed.empty(), found.unnamed[0] + " has no name in the table of its family");
    return std::move(found.tensors);
  }
  /// The heads are not in the files: a run draws them.
  void keep_the_body() {
    std::erase_if(tensors_,
                  [&](const auto& tensor) { return !tensor.name.starts_with(model_.family->prefix); });
    std::set<std::string> kept;
    for (const HuggingFaceTensor& tensor : tensors_) kept.insert(tensor.pieces.begin(), tensor.pieces.end());
    std::erase_if(weights_, [&](const auto& weight) { return !kept.contains(weight.name); });
  }

  bool has(const std::string& name) const { return model_.names.contains(name); }
  const std::string& name_in_file(const std::string& name) const { return model_.names.at(name); }
  const SafetensorsEntry& entry(const std::string& name) const {
    return files_.entries().at(name_in_file(name));
  }
  Tensor read(const std::string& name) const {
    return files_.read(context_, name_in_file(name), MemoryCategory::kWorkspace);
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
      known.insert(tensor.name);
      if (!has(tensor.name))
        lines.push_back(fmt::format("{} is missing", tensor.name));
      else if (const SafetensorsEntry& found = entry(tensor.name); found.shape != tensor.shape)
        lines.push_back(fmt::format("{} has shape {}, expected {}", name_in_file(tensor.name),
                                    to_string(found.shape), to_string(tensor.shape)));
      else if (!is_floating(found.dtype))
        lines.push_back(fmt::format("{} is {}, expected a floating type", name_in_file(tensor.name),
                                    name_of(found.dtype)));
    }
    for (const auto& [copy, original] : model_.family->copies)
      if (known.contains(original)) known.insert(copy);
    known.insert(model_.family->sinusoids.begin(), model_.family->sinusoids.end());
    known.insert(model_.family->zeros.begin(), model_.family->zeros.end());
    for (const auto& [name, in_file] : model_.names)
      if (!known.contains(name) && !is_buffer(*model_.family, name))
        lines.push_back(fmt::format("{} is not expected", printable(in_file)));
    if (!lines.empty())
      throw DataError(fmt::format("'{}' does not hold the model that its config.json describes:\n  {}",
                                  folder_, fmt::join(lines, "\n  ")));
  }

  /// Files may hold a tied matrix more than once; then it must be the same.
  void check_copies() const {
    const auto is_weight = [&](const std::string& name) {
      return std::any_of(tensors_.begin(), tensors_.end(),
                         [&](const auto& tensor) { return tensor.name == name; });
    };
    for (const auto& [copy, original] : model_.family->copies)
      if (!is_weight(copy) && is_weight(original) && has(copy)) check_copy(copy, original);
  }
  void check_copy(const std::string& copy, const std::string& original) const {
    const Tensor a = read(copy), b = read(original);
    if (a.shape() != b.shape() || a.dtype() != b.dtype() ||
        std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.num_bytes())) != 0)
      throw DataError(fmt::format("'{}': by config.json {} is tied, but it is not {}", folder_,
                                  name_in_file(copy), name_in_file(original)));
  }

  /// Transformers computes with the table of the file, Trireme with the formula.
  void check_sinusoids() const {
    for (const char* name : model_.family->sinusoids)
      if (has(name) && !is_sinusoid_table(name))
        throw DataError(fmt::format("'{}': {} is not Marian's table of sines and cosines for {} positions",
                                    folder_, name_in_file(name), config().max_position_embeddings));
  }
  bool is_sinusoid_table(const char* name) const {
    const Shape shape = {config().max_position_embeddings, config().hidden_size};
    if (entry(name).shape != shape || !is_floating(entry(name).dtype)) return false;
    Tensor table = context_.workspace(shape, DType::kFloat32),
           given = context_.workspace(shape, DType::kFloat32);
    ops::sinusoid_table(config().sinusoidal_form, table);
    ops::cast(context_, read(name), given);
    constexpr float kUnit = 0x1p-8;  // of bfloat16 at 1
    for (int64_t i = 0; i < table.num_elements(); ++i)
      if (!(std::abs(given.data<float>()[i] - table.data<float>()[i]) <= kUnit)) return false;
    return true;
  }
  const ModelConfig& config() const { return model_.config; }

  /// What Trireme's model has not, and files hold all the same.
  void check_zeros() const {
    for (const char* name : model_.family->zeros) {
      if (!has(name)) continue;
      const Tensor given = read(name);
      const std::string_view bytes(reinterpret_cast<const char*>(given.raw()),
                                   static_cast<size_t>(given.num_bytes()));
      if (bytes.find_first_not_of('\0') != std::string_view::npos)
        throw DataError(
            fmt::format("'{}': {} is not zero, and there is no such weight", folder_, name_in_file(name)));
    }
  }

  /// Pieces of one tensor are asked for one after another.
  const Tensor& stored(const HuggingFaceTensor& tensor) {
    if (last_name_ != tensor.name) {
      last_ = Tensor();
      last_ = read(tensor.name);
      last_name_ = tensor.name;
    }
    return last_;
  }

  Context& context_;
  std::string folder_;
  std::string config_json_;
  SafetensorsFolder files_;
  HuggingFaceModel model_;
  std::vector<LogicalWeight> weights_;
  std::vector<HuggingFaceTensor> tensors_;
  std::string last_name_;
  Tensor last_;
};

/// The folder's tokenizer, where it has one that is supported and fits.
std::unique_ptr<Tokenizer> find_tokenizer(const std::string& folder, int64_t vocab_size) {
  std::string path = folder + "/tokenizer.json";
  if (!fs::exists(path)) path = folder + "/vocab.txt";
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

/// "layers.*", "pooler.*": the first words of the names, as training.initialize_only takes them.
std::set<std::string> patterns_of(const std::vector<LogicalWeight>& weights) {
  std::set<std::string> patterns;
  for (const LogicalWeight& weight : weights)
    patterns.insert(fmt::format("\"{}.*\"", weight.name.substr(0, weight.name.find('.'))));
  return patterns;
}

}  // namespace

ExitCode import_checkpoint(const ImportOptions& options) {
  Context context;
  ForeignModel model(context, options.input);
  for (const std::string& sentence : model.model().left_out) log::warning("left out: {}", sentence);
  const DType dtype = model.common_dtype();
  const std::unique_ptr<Tokenizer> tokenizer = find_tokenizer(options.input, model.model().config.vocab_size);
  const std::string output = new_folder(options.output);

  RunConfig config;
  config.model = model.model().config;
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
      output, model.model().family->title, tensors.size(), name_of(dtype),
      tokenizer ? ", with its tokenizer" : "", output, output);
  if (model.model().bare)
    fmt::print("it has no heads: training.initialize_only: [{}]\n",
               fmt::join(patterns_of(model.weights()), ", "));
  return ExitCode::kOk;
}

}  // namespace trireme
