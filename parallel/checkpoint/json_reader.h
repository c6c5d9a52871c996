#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor/shape.h"

namespace trireme::checkpoint {

/// Typed members of an untrusted object. Errors: CheckpointError with the path of the member.
class JsonReader {
 public:
  JsonReader(const nlohmann::json& value, std::string path) : value_(value), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  JsonReader member(const std::string& key) const;  ///< must exist
  bool has(const std::string& key) const { return value_.is_object() && value_.contains(key); }
  bool is_null() const { return value_.is_null(); }

  std::string text() const;  ///< printable ASCII
  int64_t number(int64_t minimum, int64_t maximum) const;
  Shape shape(int64_t minimum) const;  ///< 1 to 8 numbers of at least `minimum`
  std::string object_text() const;     ///< the canonical text of an object
  std::string hex_digest() const;      ///< 32 lower-case hexadecimal digits
  std::string file_name() const;       ///< without folders
  std::vector<JsonReader> items() const;
  std::vector<std::pair<std::string, JsonReader>> members() const;

  [[noreturn]] void fail(const std::string& expected) const;

 private:
  const nlohmann::json& value_;
  std::string path_;
};

}  // namespace trireme::checkpoint
