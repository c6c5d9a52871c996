#include "core/models/hugging_face_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/base/error.h"
#include "core/base/strict_json.h"

namespace trireme {
namespace {

using Json = nlohmann::ordered_json;

/// transformers/activations.py. The first name of ours is written.
constexpr std::pair<const char*, FeedForwardActivation> kActivations[] = {
    {"gelu_new", FeedForwardActivation::kGeluTanh},
    {"gelu_pytorch_tanh", FeedForwardActivation::kGeluTanh},
    {"gelu", FeedForwardActivation::kGelu},
    {"relu", FeedForwardActivation::kRelu}};

constexpr const char* kRopeDefault = "default";

/// Members of an untrusted object; what is wrong is collected.
class ConfigReader {
 public:
  ConfigReader(const nlohmann::json& object, std::vector<std::string>& problems)
      : object_(object), problems_(problems) {}

  /// `absent` < 0: the member must be there.
  int64_t integer(const char* key, int64_t absent = -1) {
    const nlohmann::json* value = find(key);
    if (value == nullptr && absent >= 0) return absent;
    constexpr int64_t kLargest = int64_t{1} << 40;
    if (value == nullptr || !value->is_number_integer() || *value < 0 || *value > kLargest)
      return problem(key, "an integer"), 1;
    return value->get<int64_t>();
  }
  double number(const char* key, double absent) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_number()) return problem(key, "a number"), absent;
    return value->get<double>();
  }
  bool boolean(const char* key, bool absent) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_boolean()) return problem(key, "true or false"), absent;
    return value->get<bool>();
  }
  std::string text(const char* key, const std::string& absent) {
    const nlohmann::json* value = find(key);
    if (value == nullptr) return absent;
    if (!value->is_string()) return problem(key, "a string"), absent;
    return value->get<std::string>();
  }
  /// Refuses every value but the one that is supported (or null).
  void only(const char* key, const nlohmann::json& supported) {
    const nlohmann::json* value = find(key);
    if (value != nullptr && *value != supported)
      problem(key, supported.dump() + " (nothing else is supported)");
  }
  void absent(const char* key) {
    if (find(key) != nullptr) problem(key, "nothing (it is not supported)");
  }
  /// The member, or null where it is missing or null.
  const nlohmann::json* find(const char* key) const {
    const auto found = object_.find(key);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  void problem(const char* key, const std::string& expected) {
    const nlohmann::json* value = find(key);
    const std::string given =
        value == nullptr ? "nothing" : value->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
    problems_.push_back(fmt::format("{}: given {}, expected {}", key,
                                    given.size() > 80 ? given.substr(0, 77) + "..." : given, expected));
  }

 private:
  const nlohmann::json& object_;
  std::vector<std::string>& problems_;
};

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

ModelConfig read_gpt2(ConfigReader& reader) {
  ModelConfig config;
  config.num_layers = reader.integer("n_layer");
  config.hidden_size = reader.integer("n_embd");
  config.ffn_hidden_size = reader.integer("n_inner", 0);
  config.num_attention_heads = reader.integer("n_head");
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("n_positions");
  config.norm_epsilon = reader.number("layer_norm_epsilon", 1e-5);
  config.init_method_std = reader.number("initializer_range", 0.02);
  config.untie_embeddings_and_output_weights = !reader.boolean("tie_word_embeddings", true);
  config.hidden_dropout = reader.number("resid_pdrop", 0.1);
  config.attention_dropout = reader.number("attn_pdrop", 0.1);
  if (reader.number("embd_pdrop", 0.1) != config.hidden_dropout)
    reader.problem("embd_pdrop", fmt::format("resid_pdrop's {}", config.hidden_dropout));
  const std::string name = reader.text("activation_function", "gelu_new");
  bool known = false;
  for (const auto& [theirs, ours] : kActivations)
    if (name == theirs) {
      config.activation = ours;
      known = true;
    }
  if (!known) reader.problem("activation_function", "gelu_new, gelu_pytorch_tanh, gelu or relu");
  reader.only("scale_attn_weights", true);
  reader.only("scale_attn_by_inverse_layer_idx", false);
  reader.only("add_cross_attention", false);
  reader.absent("quantization_config");
  return config;
}

/// Rope's base; refuses every other form of it than Su et al.'s. Transformers 5 puts it into an object.
double read_rope(ConfigReader& reader, std::vector<std::string>& problems) {
  const double theta = reader.number("rope_theta", 10000.0);
  const nlohmann::json* parameters = reader.find("rope_parameters");
  for (const char* key : {"rope_parameters", "rope_scaling"}) {
    const nlohmann::json* object = reader.find(key);
    if (object == nullptr) continue;
    const std::string type =
        object->is_object()
            ? object->value("rope_type", object->value("type", nlohmann::json(kRopeDefault))).dump()
            : "";
    if (type != nlohmann::json(kRopeDefault).dump())
      reader.problem(key, "rope_type \"default\" (scaled positions are not supported)");
  }
  if (parameters == nullptr || !parameters->is_object()) return theta;
  ConfigReader inner(*parameters, problems);
  inner.only("partial_rotary_factor", 1.0);
  return inner.number("rope_theta", theta);
}

ModelConfig read_llama(ConfigReader& reader, std::vector<std::string>& problems) {
  ModelConfig config;
  config.position_embedding_type = PositionEmbedding::kRope;
  config.normalization = Normalization::kRmsNorm;
  config.activation = FeedForwardActivation::kSwiglu;
  config.num_layers = reader.integer("num_hidden_layers");
  config.hidden_size = reader.integer("hidden_size");
  config.ffn_hidden_size = reader.integer("intermediate_size");
  config.num_attention_heads = reader.integer("num_attention_heads");
  config.num_query_groups = reader.integer("num_key_value_heads", 0);
  config.kv_channels = reader.integer("head_dim", 0);
  config.vocab_size = reader.integer("vocab_size");
  config.max_position_embeddings = reader.integer("max_position_embeddings");
  config.norm_epsilon = reader.number("rms_norm_eps", 1e-6);
  config.init_method_std = reader.number("initializer_range", 0.02);
  config.untie_embeddings_and_output_weights = !reader.boolean("tie_word_embeddings", false);
  config.attention_dropout = reader.number("attention_dropout", 0.0);
  config.rotary_base = read_rope(reader, problems);
  config.add_bias_linear = reader.boolean("attention_bias", false);
  if (reader.boolean("mlp_bias", false) != config.add_bias_linear)
    reader.problem("mlp_bias", fmt::format("attention_bias's {} (all linear layers have biases or none)",
                                           config.add_bias_linear));
  if (reader.text("hidden_act", "silu") != "silu") reader.problem("hidden_act", "silu");
  reader.only("pretraining_tp", 1);
  reader.absent("quantization_config");
  reader.absent("sliding_window");
  return config;
}

Json gpt2_json(const ModelConfig& config) {
  const char* activation = "";
  for (const auto& [theirs, ours] : kActivations)
    if (ours == config.activation && *activation == '\0') activation = theirs;
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"n_layer", config.num_layers},
          {"n_embd", config.hidden_size},
          {"n_inner", config.ffn_hidden_size},
          {"n_head", config.num_attention_heads},
          {"n_positions", config.max_position_embeddings},
          {"vocab_size", config.vocab_size},
          {"activation_function", activation},
          {"layer_norm_epsilon", config.norm_epsilon},
          {"initializer_range", config.init_method_std},
          {"resid_pdrop", config.hidden_dropout},
          {"embd_pdrop", config.hidden_dropout},
          {"attn_pdrop", config.attention_dropout},
          {"tie_word_embeddings", !config.untie_embeddings_and_output_weights}};
}

Json llama_json(const ModelConfig& config) {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"num_hidden_layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"intermediate_size", config.ffn_hidden_size},
          {"num_attention_heads", config.num_attention_heads},
          {"num_key_value_heads", config.num_query_groups},
          {"head_dim", config.kv_channels},
          {"max_position_embeddings", config.max_position_embeddings},
          {"vocab_size", config.vocab_size},
          {"hidden_act", "silu"},
          {"rms_norm_eps", config.norm_epsilon},
          {"rope_theta", config.rotary_base},
          {"initializer_range", config.init_method_std},
          {"attention_dropout", config.attention_dropout},
          {"attention_bias", config.add_bias_linear},
          {"mlp_bias", config.add_bias_linear},
          {"tie_word_embeddings", !config.untie_embeddings_and_output_weights}};
}

}  // namespace

HuggingFaceFamily hugging_face_family(const ModelConfig& config) {
  return config.position_embedding_type == PositionEmbedding::kRope ? HuggingFaceFamily::kLlama
                                                                    : HuggingFaceFamily::kGpt2;
}

std::vector<std::string> hugging_face_obstacles(const ModelConfig& config) {
  std::vector<std::string> lines;
  const bool llama = hugging_face_family(config) == HuggingFaceFamily::kLlama;
  const auto need = [&](bool holds, const std::string& field, const std::string& expected) {
    if (!holds)
      lines.push_back(
          fmt::format("model.{}: {} has {} only", field, llama ? "Llama (rope)" : "GPT-2", expected));
  };
  if (llama) {
    need(config.normalization == Normalization::kRmsNorm, "normalization", "RMSNorm");
    need(config.activation == FeedForwardActivation::kSwiglu, "activation", "swiglu");
    need(!config.rotary_interleaved, "rotary_interleaved", "false (pairs i, i + half)");
    return lines;
  }
  need(config.position_embedding_type == PositionEmbedding::kLearnedAbsolute, "position_embedding_type",
       "learned_absolute");
  need(config.normalization == Normalization::kLayerNorm, "normalization", "LayerNorm");
  need(config.activation != FeedForwardActivation::kSwiglu, "activation", "gelu_tanh, gelu and relu");
  need(config.add_bias_linear, "add_bias_linear", "true");
  need(config.add_norm_bias, "add_norm_bias", "true");
  need(config.num_query_groups == config.num_attention_heads, "num_query_groups", "num_attention_heads");
  need(config.kv_channels * config.num_attention_heads == config.hidden_size, "kv_channels",
       "hidden_size / num_attention_heads");
  return lines;
}

std::string to_hugging_face(const ModelConfig& config, DType dtype, std::optional<int32_t> end_of_document) {
  Json json =
      hugging_face_family(config) == HuggingFaceFamily::kLlama ? llama_json(config) : gpt2_json(config);
  json["torch_dtype"] = name_of(dtype);
  json["bos_token_id"] = end_of_document ? Json(*end_of_document) : Json(nullptr);
  json["eos_token_id"] = json["bos_token_id"];
  return json.dump(2) + "\n";
}

HuggingFaceModel from_hugging_face(const std::string& config_json, const std::string& where) {
  const nlohmann::json json = parse_strict_json(config_json, where);
  std::vector<std::string> problems;
  ConfigReader reader(json, problems);
  HuggingFaceModel model;
  const std::string type = reader.text("model_type", "");
  if (type == "llama") {
    model.family = HuggingFaceFamily::kLlama;
    model.config = read_llama(reader, problems);
  } else if (type == "gpt2") {
    model.config = read_gpt2(reader);
  } else {
    reader.problem("model_type", "gpt2 or llama");
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
