#include "core/models/hugging_face_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace trireme {
namespace {

/// transformers/activations.py. The first name of ours is written.
constexpr std::pair<const char*, FeedForwardActivation> kActivations[] = {
    {"gelu_new", FeedForwardActivation::kGeluTanh},
    {"gelu_pytorch_tanh", FeedForwardActivation::kGeluTanh},
    {"gelu", FeedForwardActivation::kGelu},
    {"relu", FeedForwardActivation::kRelu}};

}  // namespace

int64_t HuggingFaceReader::integer(const char* key, int64_t absent) {
  const nlohmann::json* value = find(key);
  if (value == nullptr && absent >= 0) return absent;
  constexpr int64_t kLargest = int64_t{1} << 40;
  if (value == nullptr || !value->is_number_integer() || *value < 0 || *value > kLargest)
    return problem(key, "an integer"), 1;
  return value->get<int64_t>();
}

double HuggingFaceReader::number(const char* key, double absent) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_number()) return problem(key, "a number"), absent;
  return value->get<double>();
}

bool HuggingFaceReader::boolean(const char* key, bool absent) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) return problem(key, "true or false"), absent;
  return value->get<bool>();
}

std::string HuggingFaceReader::text(const char* key, const std::string& absent) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return absent;
  if (!value->is_string()) return problem(key, "a string"), absent;
  return value->get<std::string>();
}

FeedForwardActivation HuggingFaceReader::activation(const char* key, const std::string& absent) {
  const std::string name = text(key, absent);
  for (const auto& [theirs, ours] : kActivations)
    if (name == theirs) return ours;
  problem(key, "gelu_new, gelu_pytorch_tanh, gelu or relu");
  return FeedForwardActivation::kGelu;
}

void HuggingFaceReader::only(const char* key, const nlohmann::json& supported) {
  const nlohmann::json* value = find(key);
  if (value != nullptr && *value != supported)
    problem(key, supported.dump() + " (nothing else is supported)");
}

void HuggingFaceReader::absent(const char* key) {
  if (find(key) != nullptr) problem(key, "nothing (it is not supported)");
}

void HuggingFaceReader::architectures(const std::vector<std::string>& supported) {
  const nlohmann::json* value = find("architectures");
  const auto is_supported = [&](const nlohmann::json& name) {
    return std::any_of(supported.begin(), supported.end(), [&](const auto& each) { return name == each; });
  };
  if (value != nullptr && !(value->is_array() && std::all_of(value->begin(), value->end(), is_supported)))
    problem("architectures", fmt::format("{}", fmt::join(supported, ", ")));
}

const nlohmann::json* HuggingFaceReader::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

void HuggingFaceReader::problem(const char* key, const std::string& expected) {
  const nlohmann::json* value = find(key);
  const std::string given =
      value == nullptr ? "nothing" : value->dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  problems_.push_back(fmt::format("{}: given {}, expected {}", key,
                                  given.size() > 80 ? given.substr(0, 77) + "..." : given, expected));
}

bool HuggingFaceReader::holds(const std::string& name) const {
  return std::binary_search(names_.begin(), names_.end(), name);
}

std::string hugging_face_activation(FeedForwardActivation activation, const char* usual) {
  for (const auto& [theirs, ours] : kActivations)
    if (ours == activation) return theirs;
  return usual;
}

}  // namespace trireme
