#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/base/fields.h"

namespace trireme {

/// Names and values of a struct's fields, as text, in the order of declaration.
using FieldTexts = std::vector<std::pair<std::string, std::string>>;

class FieldTextCollector final : public FieldVisitor {
 public:
  void visit(const Field& field, bool& value) override;
  void visit(const Field& field, int64_t& value) override;
  void visit(const Field& field, double& value) override;
  void visit(const Field& field, std::string& value) override;
  void visit(const Field& field, std::vector<int64_t>& value) override;
  void visit(const Field& field, std::vector<double>& value) override;
  void visit(const Field& field, std::vector<std::string>& value) override;

  FieldTexts texts;
};

template <class Config>
FieldTexts field_texts(Config config) {
  FieldTextCollector collector;
  config.fields(collector);
  return std::move(collector.texts);
}

}  // namespace trireme
