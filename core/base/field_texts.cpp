#include "core/base/field_texts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme {

void FieldTextCollector::visit(const Field& field, bool& value) {
  texts.emplace_back(field.name, value ? "true" : "false");
}
void FieldTextCollector::visit(const Field& field, int64_t& value) {
  texts.emplace_back(field.name, std::to_string(value));
}
void FieldTextCollector::visit(const Field& field, double& value) {
  texts.emplace_back(field.name, fmt::format("{}", value));
}
void FieldTextCollector::visit(const Field& field, std::string& value) {
  texts.emplace_back(field.name, value);
}
void FieldTextCollector::visit(const Field& field, std::vector<int64_t>& value) {
  texts.emplace_back(field.name, fmt::format("[{}]", fmt::join(value, ", ")));
}
void FieldTextCollector::visit(const Field& field, std::vector<double>& value) {
  texts.emplace_back(field.name, fmt::format("[{}]", fmt::join(value, ", ")));
}
void FieldTextCollector::visit(const Field& field, std::vector<std::string>& value) {
  texts.emplace_back(field.name, fmt::format("[{}]", fmt::join(value, ", ")));
}

}  // namespace trireme
