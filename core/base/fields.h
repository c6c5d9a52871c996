#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace trireme {

/// One line of a configuration struct: what parsing, validation, printing, documentation and the JSON schema
/// read.
struct Field {
  const char* name;
  const char* help;  ///< one sentence
  const char* unit = "";
  std::optional<double> minimum = std::nullopt;  ///< inclusive
  std::optional<double> maximum = std::nullopt;  ///< inclusive
  std::vector<std::string> choices = {};
};

/// Walks the fields of a config struct. Each struct has `void fields(FieldVisitor&)`, which names every
/// member once.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void visit(const Field&, bool&) = 0;
  virtual void visit(const Field&, int64_t&) = 0;
  virtual void visit(const Field&, double&) = 0;
  virtual void visit(const Field&, std::string&) = 0;
  virtual void visit(const Field&, std::vector<int64_t>&) = 0;
  virtual void visit(const Field&, std::vector<double>&) = 0;
  virtual void visit(const Field&, std::vector<std::string>&) = 0;

  /// A member of an enum type with a name per value.
  template <class Enum>
  void visit_choice(Field field, Enum& value, std::span<const std::pair<const char*, Enum>> names) {
    std::string text;
    for (const auto& [name, candidate] : names) {
      field.choices.emplace_back(name);
      if (candidate == value) text = name;
    }
    visit(field, text);
    for (const auto& [name, candidate] : names)
      if (text == name) value = candidate;
  }
};

}  // namespace trireme
