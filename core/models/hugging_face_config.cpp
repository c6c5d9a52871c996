#include "core/models/hugging_face_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/base/strict_json.h"
#include "core/models/hugging_face_names.h"
#include "core/models/idle_options.h"

namespace trireme {

// One line a family; each is made by the file of its name.
HuggingFaceFamily hugging_face_bert();
HuggingFaceFamily hugging_face_gpt2();
HuggingFaceFamily hugging_face_llama();
HuggingFaceFamily hugging_face_marian();

std::span<const HuggingFaceFamily> hugging_face_families() {
  static const HuggingFaceFamily table[] = {hugging_face_gpt2(), hugging_face_llama(), hugging_face_bert(),
                                            hugging_face_marian()};
  return table;
}

namespace {

const HuggingFaceFamily* find_family(const std::string& model_type) {
  for (const HuggingFaceFamily& family : hugging_face_families())
    if (model_type == family.model_type) return &family;
  return nullptr;
}

/// Values beyond the ranges of the run file's fields.
class RangeCheck final : public FieldVisitor {
 public:
  explicit RangeCheck(std::vector<std::string>& problems) : problems_(problems) {}
  void visit(const Field&, bool&) override {}
  void visit(const Field& field, int64_t& value) override { check(field, static_cast<double>(value)); }
  void visit(const Field& field, double& value) override { check(field, value); }
  void visit(const Field&, std::string&) override {}
  void visit(const Field&, std::vector<int64_t>&) override {}
  void visit(const Field&, std::vector<double>&) override {}
  void visit(const Field&, std::vector<std::string>&) override {}

 private:
  void check(const Field& field, double value) {
    if ((field.minimum && !(value >= *field.minimum)) || (field.maximum && !(value <= *field.maximum)))
      problems_.push_back(fmt::format("it makes model.{} {}, which is out of range", field.name, value));
  }
  std::vector<std::string>& problems_;
};

/// Whether the field changes what a model of this kind computes.
bool counts(const std::string& field, const ModelConfig& config) {
  for (const char* of_training :
       {"init_method", "init_method_std", "scale_init_by_depth", "label_smoothing", "label_smoothing_form"})
    if (field == of_training) return false;
  if (field == "add_norm_bias") return config.normalization == Normalization::kLayerNorm;
  if (field == "next_sentence_head") return config.num_classes == 0;
  return !is_idle(field, config, idle_model_options());
}

}  // namespace

nlohmann::ordered_json id_or_null(const std::optional<int32_t>& id) {
  return id ? nlohmann::ordered_json(*id) : nlohmann::ordered_json(nullptr);
}

const HuggingFaceFamily& hugging_face_family(const ModelConfig& config) {
  if (config.family == "gpt") return *find_family(config.rotary() ? "llama" : "gpt2");
  return *find_family(config.family == "bert" ? "bert" : "marian");
}

HuggingFaceLimits hugging_face_limits(const ModelConfig& config, const std::map<std::string, Shape>& ours) {
  const HuggingFaceFamily& family = hugging_face_family(config);
  const HuggingFaceTensors tensors = hugging_face_tensors(family, ours);
  std::vector<std::string> names;
  for (const HuggingFaceTensor& tensor : tensors.tensors) names.push_back(tensor.name);
  HuggingFaceLimits limits;
  try {
    const HuggingFaceModel back =
        from_hugging_face(to_hugging_face(config, DType::kFloat32, {}), names, "config.json");
    const auto theirs = field_texts(back.config);
    const auto given = field_texts(config);
    for (size_t i = 0; i < given.size(); ++i) {
      const auto& [field, value] = given[i];
      if (value == theirs[i].second || !counts(field, config)) continue;
      (field.ends_with("_dropout") ? limits.left_out : limits.obstacles)
          .push_back(fmt::format("model.{}: given {}, the config.json of {} makes it {}", field, value,
                                 family.title, theirs[i].second));
    }
  } catch (const DataError& error) {
    limits.obstacles.emplace_back(error.what());
  }
  if (limits.obstacles.empty())
    for (const std::string& name : tensors.unnamed)
      limits.obstacles.push_back(fmt::format("{}: {} has no such weights", name, family.title));
  return limits;
}

std::string to_hugging_face(const ModelConfig& config, DType dtype, const HuggingFaceIds& ids) {
  nlohmann::ordered_json json = hugging_face_family(config).write(config, ids);
  json["torch_dtype"] = name_of(dtype);
  return json.dump(2) + "\n";
}

HuggingFaceModel from_hugging_face(const std::string& config_json, const std::vector<std::string>& names,
                                   const std::string& where) {
  const nlohmann::json json = parse_strict_json(config_json, where);
  std::vector<std::string> problems;
  HuggingFaceModel model;
  const std::string type = HuggingFaceReader(json, {}, problems).text("model_type", "");
  model.family = find_family(type);
  if (model.family != nullptr) {
    model.names = current_names(*model.family, names);
    std::vector<std::string> now;
    for (const auto& [name, in_files] : model.names) now.push_back(name);
    HuggingFaceReader reader(json, now, problems);
    model.config = model.family->read(reader);
    model.bare = reader.bare();
    model.left_out = reader.left_out();
  } else {
    std::vector<std::string> known;
    for (const HuggingFaceFamily& family : hugging_face_families()) known.emplace_back(family.model_type);
    HuggingFaceReader(json, {}, problems)
        .problem("model_type", fmt::format("one of {}", fmt::join(known, ", ")));
  }
  RangeCheck ranges(problems);
  if (problems.empty()) model.config.fields(ranges);
  if (problems.empty()) try {
      model.config.resolve(0, 0);
    } catch (const ConfigError& error) {
      problems.emplace_back(error.what());
    }
  if (!problems.empty())
    throw DataError(fmt::format("'{}' describes no model that can be imported:\n  {}", where,
                                fmt::join(problems, "\n  ")));
  return model;
}

}  // namespace trireme
