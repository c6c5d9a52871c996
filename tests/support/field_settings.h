#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/base/fields.h"

namespace trireme::testing {

/// Values of fields as text, by name.
using Settings = std::map<std::string, std::string>;

/// Gives fields the values of `settings`; the others keep theirs. Remembers the words that strings may have.
class FieldSetter final : public FieldVisitor {
 public:
  explicit FieldSetter(const Settings& settings) : settings_(settings) {}
  void visit(const Field& field, bool& value) override {
    set(field, [&](const std::string& text) { value = text == "true"; });
  }
  void visit(const Field& field, int64_t& value) override {
    set(field, [&](const std::string& text) { value = std::stoll(text); });
  }
  void visit(const Field& field, double& value) override {
    set(field, [&](const std::string& text) { value = std::stod(text); });
  }
  void visit(const Field& field, std::string& value) override {
    words[field.name] = field.choices;
    set(field, [&](const std::string& text) { value = text; });
  }
  void visit(const Field&, std::vector<int64_t>&) override {}
  void visit(const Field&, std::vector<double>&) override {}
  void visit(const Field&, std::vector<std::string>&) override {}

  std::map<std::string, std::vector<std::string>> words;

 private:
  template <class Set>
  void set(const Field& field, Set&& set_from) {
    if (const auto found = settings_.find(field.name); found != settings_.end()) set_from(found->second);
  }
  const Settings& settings_;
};

template <class Config>
Config with_settings(Config config, const Settings& settings) {
  FieldSetter setter(settings);
  config.fields(setter);
  return config;
}

}  // namespace trireme::testing
