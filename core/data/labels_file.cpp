#include "core/data/labels_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/strict_json.h"

namespace trireme {
namespace {

using nlohmann::json;

constexpr const char* kType = "trireme-labels";

const json& field(const json& root, const char* key, json::value_t type) {
  const auto found = root.find(key);
  if (found == root.end()) throw DataError(fmt::format("has no key '{}'", key));
  if (found->type() != type)
    throw DataError(fmt::format("'{}' is {}, expected {}", key, found->type_name(), json(type).type_name()));
  return *found;
}

std::vector<std::string> parse_classes(const json& root) {
  std::vector<std::string> classes;
  std::set<std::string> seen;
  for (const json& name : field(root, "classes", json::value_t::array)) {
    if (!name.is_string()) throw DataError(fmt::format("class {} is no text", classes.size()));
    classes.push_back(name.get<std::string>());
    if (!seen.insert(classes.back()).second)
      throw DataError(fmt::format("has the class '{}' twice", printable(classes.back())));
  }
  if (classes.empty()) throw DataError("has no classes");
  return classes;
}

Labels parse(const json& root) {
  if (root.value("type", json()) != kType)
    throw DataError(fmt::format("is no labels file: expected \"type\": \"{}\"", kType));
  if (root.value("version", json()) != 1)
    throw DataError(
        fmt::format("version {} is not known, expected 1", printable(root.value("version", json()).dump())));
  Labels result{parse_classes(root), {}};
  const size_t num_classes = result.classes.size();
  for (const json& label : field(root, "labels", json::value_t::array)) {
    if (!label.is_number_unsigned() || label.get<uint64_t>() >= num_classes)
      throw DataError(fmt::format("label {} is {}, expected 0 to {}", result.labels.size(),
                                  label.is_number() ? label.dump() : label.type_name(), num_classes - 1));
    result.labels.push_back(label.get<int32_t>());
  }
  return result;
}

}  // namespace

std::string labels_path(const std::string& prefix) {
  return prefix + ".labels";
}

Labels read_labels(const std::string& path) {
  const json root = parse_strict_json(read_file(path), path);
  try {
    return parse(root);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", path, error.what()));
  }
}

void write_labels(const std::string& path, const Labels& labels) {
  const nlohmann::ordered_json root = {
      {"type", kType}, {"version", 1}, {"classes", labels.classes}, {"labels", labels.labels}};
  replace_file(path, root.dump() + '\n');
}

}  // namespace trireme
