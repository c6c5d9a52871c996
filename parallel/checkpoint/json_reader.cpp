#include "parallel/checkpoint/json_reader.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/base/strict_json.h"
#include "core/io/file.h"

namespace trireme::checkpoint {
namespace {

constexpr size_t kMostDimensions = 8;

}  // namespace

void JsonReader::fail(const std::string& expected) const {
  std::string given = value_.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (given.size() > 80) given = given.substr(0, 77) + "...";
  throw CheckpointError(fmt::format("{}: expected {}, given {}", path_, expected, given));
}

JsonReader JsonReader::member(const std::string& key) const {
  if (!value_.is_object()) fail("an object");
  const auto found = value_.find(key);
  if (found == value_.end()) throw CheckpointError(fmt::format("{}: '{}' is missing", path_, key));
  return {*found, path_ + "." + key};
}

std::string JsonReader::text() const {
  if (!value_.is_string()) fail("a string");
  std::string text = value_.get<std::string>();
  if (printable(text) != text) fail("printable ASCII");
  return text;
}

int64_t JsonReader::number(int64_t minimum, int64_t maximum) const {
  // An unsigned number above the int64 range would wrap into a negative one: refused by the comparison.
  if (!value_.is_number_integer()) fail("an integer");
  const auto number = value_.get<int64_t>();
  if (number < minimum || number > maximum) fail(fmt::format("an integer from {} to {}", minimum, maximum));
  return number;
}

Shape JsonReader::shape(int64_t minimum) const {
  constexpr int64_t kLargestExtent = int64_t{1} << 48;
  if (!value_.is_array() || value_.empty() || value_.size() > kMostDimensions)
    fail(fmt::format("an array of 1 to {} integers", kMostDimensions));
  Shape shape;
  for (const JsonReader& item : items()) shape.push_back(item.number(minimum, kLargestExtent));
  return shape;
}

std::string JsonReader::object_text() const {
  if (!value_.is_object()) fail("an object");
  return value_.dump();
}

std::string JsonReader::hex_digest() const {
  const std::string digits = text();
  if (digits.size() != 32 || digits.find_first_not_of("0123456789abcdef") != std::string::npos)
    fail("32 hexadecimal digits");
  return digits;
}

std::string JsonReader::file_name() const {
  const std::string name = text();
  if (!io::is_plain_name(name)) fail("a file name without folders");
  return name;
}

std::vector<JsonReader> JsonReader::items() const {
  if (!value_.is_array()) fail("an array");
  std::vector<JsonReader> readers;
  for (size_t i = 0; i < value_.size(); ++i) readers.emplace_back(value_[i], fmt::format("{}[{}]", path_, i));
  return readers;
}

std::vector<std::pair<std::string, JsonReader>> JsonReader::members() const {
  if (!value_.is_object()) fail("an object");
  std::vector<std::pair<std::string, JsonReader>> readers;
  for (const auto& [key, value] : value_.items()) {
    if (printable(key) != key) fail("printable ASCII as keys");
    readers.emplace_back(key, JsonReader(value, path_ + "." + key));
  }
  return readers;
}

}  // namespace trireme::checkpoint
