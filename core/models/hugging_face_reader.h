#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/models/model_config.h"

namespace trireme {

/// Members of an untrusted config.json, and the names of the tensors beside it. What is wrong is collected.
class HuggingFaceReader {
 public:
  /// `names`: of the tensors, as of now and with prefix, sorted. All must outlive the reader.
  HuggingFaceReader(const nlohmann::json& object, std::span<const std::string> names,
                    std::vector<std::string>& problems)
      : object_(object), names_(names), problems_(problems) {}

  /// Of an object inside this one.
  HuggingFaceReader inner(const nlohmann::json& object) const { return {object, names_, problems_}; }

  /// `absent` < 0: the member must be there.
  int64_t integer(const char* key, int64_t absent = -1);
  double number(const char* key, double absent);
  bool boolean(const char* key, bool absent);
  std::string text(const char* key, const std::string& absent);
  FeedForwardActivation activation(const char* key, const std::string& absent);
  /// Refuses every value but the one that is supported (or null).
  void only(const char* key, const nlohmann::json& supported);
  void absent(const char* key);
  /// Refuses every other class of Transformers than these.
  void architectures(const std::vector<std::string>& supported);
  /// The member, or null where it is missing or null.
  const nlohmann::json* find(const char* key) const;
  void problem(const char* key, const std::string& expected);

  /// Whether the files have this tensor.
  bool holds(const std::string& name) const;
  /// Says that they hold the body of the model alone, without its heads.
  void set_bare() { bare_ = true; }
  bool bare() const { return bare_; }
  /// Notes something of training that the model has not.
  void leave_out(const std::string& sentence) { left_out_.push_back(sentence); }
  const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  const nlohmann::json& object_;
  std::span<const std::string> names_;
  std::vector<std::string>& problems_;
  bool bare_ = false;
  std::vector<std::string> left_out_;
};

/// The name of an activation in Transformers; of one that it has not, the family's `usual`.
std::string hugging_face_activation(FeedForwardActivation activation, const char* usual);

}  // namespace trireme
