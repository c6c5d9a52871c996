#include "launcher/config/run_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme {
namespace {

class FieldLister : public FieldVisitor {
 public:
  FieldLister(std::string section, std::vector<FieldEntry>& entries)
      : section_(std::move(section)), entries_(entries) {}

  void visit(const Field& field, bool& value) override { add(field, FieldType::kBool, value); }
  void visit(const Field& field, int64_t& value) override { add(field, FieldType::kInteger, value); }
  void visit(const Field& field, double& value) override { add(field, FieldType::kNumber, value); }
  void visit(const Field& field, std::string& value) override { add(field, FieldType::kString, value); }
  void visit(const Field& field, std::vector<int64_t>& value) override {
    add(field, FieldType::kIntegerList, value);
  }
  void visit(const Field& field, std::vector<double>& value) override {
    add(field, FieldType::kNumberList, value);
  }
  void visit(const Field& field, std::vector<std::string>& value) override {
    add(field, FieldType::kStringList, value);
  }

 private:
  void add(const Field& field, FieldType type, FieldValue value) {
    entries_.push_back({section_, field, type, std::move(value)});
  }

  std::string section_;
  std::vector<FieldEntry>& entries_;
};

std::string range_of(const Field& field) {
  if (field.minimum && field.maximum) return fmt::format(" from {} to {}", *field.minimum, *field.maximum);
  if (field.minimum) return fmt::format(" >= {}", *field.minimum);
  if (field.maximum) return fmt::format(" <= {}", *field.maximum);
  return "";
}

}  // namespace

std::vector<ConfigSection> sections_of(RunConfig& config) {
  const auto section = [](const char* name, const char* help, auto& fields) {
    return ConfigSection{name, help, [&fields](FieldVisitor& visitor) { fields.fields(visitor); }};
  };
  return {
      section("model", "The shape of the Transformer.", config.model),
      section("data", "What it is trained on.", config.data),
      section("training", "Length, batch and bookkeeping of the run.", config.training),
      section("optimizer", "How gradients become updates, and the learning-rate schedule.", config.optimizer),
      section("precision", "The number formats.", config.precision),
      section("parallel", "How the model is spread over the ranks.", config.parallel),
      section("checkpoint", "When to save and what to keep.", config.checkpoint)};
}

std::vector<FieldEntry> list_fields(const RunConfig& config) {
  RunConfig copy = config;
  std::vector<FieldEntry> entries;
  for (const ConfigSection& section : sections_of(copy)) {
    FieldLister lister(section.name, entries);
    section.fields(lister);
  }
  return entries;
}

std::string expectation(const Field& field, FieldType type) {
  const std::string unit = *field.unit ? fmt::format(" ({})", field.unit) : "";
  switch (type) {
    case FieldType::kBool:
      return "true or false";
    case FieldType::kInteger:
      return "an integer" + range_of(field) + unit;
    case FieldType::kNumber:
      return "a number" + range_of(field) + unit;
    case FieldType::kString:
      return field.choices.empty() ? "a string" : fmt::format("one of {}", fmt::join(field.choices, ", "));
    case FieldType::kIntegerList:
      return "a list of integers" + range_of(field) + unit;
    case FieldType::kNumberList:
      return "a list of numbers" + range_of(field) + unit;
    case FieldType::kStringList:
      return "a list of strings";
  }
  return "";
}

}  // namespace trireme
