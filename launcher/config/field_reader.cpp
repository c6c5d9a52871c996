#include "launcher/config/field_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "launcher/config/suggest.h"

namespace trireme {
namespace {

using Kind = ConfigNode::Kind;

bool has_leading_zero(std::string_view digits) {
  return digits.size() > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9';
}

std::string_view without_sign(const std::string& text) {
  std::string_view digits = text;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  return digits;
}

/// Decimal digits only: YAML 1.1 reads 010 as eight, 0x10 as sixteen and 1_000 as a thousand.
bool parse(const std::string& text, int64_t& value) {
  const std::string_view digits = without_sign(text);
  if (digits.empty() || has_leading_zero(digits)) return false;
  if (!std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) return false;
  const char* begin = text.data() + (text[0] == '+');
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// Decimal notation with an optional exponent; no .inf, .nan, hexadecimal or leading zeros.
bool parse(const std::string& text, double& value) {
  const std::string_view digits = without_sign(text);
  if (digits.empty() || has_leading_zero(digits)) return false;
  if (!std::all_of(digits.begin(), digits.end(), [](char c) {
        return (c >= '0' && c <= '9') || c == '.' || c == 'e' || c == 'E' || c == '-' || c == '+';
      }))
    return false;
  const char* begin = text.data() + (text[0] == '+');
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && std::isfinite(value);
}

/// What YAML 1.1 would take a plain scalar for, when that is not a string.
std::string other_type(const std::string& text) {
  static const std::set<std::string> booleans = {"true", "false", "yes", "no", "on", "off", "y", "n"};
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  if (booleans.count(lower)) return "a boolean";
  if (lower == ".nan" || lower == ".inf" || lower == "-.inf") return "a number";
  char* end = nullptr;
  std::strtod(text.c_str(), &end);
  if (!text.empty() && *end == '\0') return "a number";
  return "";
}

class FieldReader : public FieldVisitor {
 public:
  FieldReader(std::string section, const ConfigNode& node, ConfigProblems& problems)
      : section_(std::move(section)), node_(node), problems_(problems) {}

  std::vector<std::string> names;

  void visit(const Field& field, bool& value) override {
    read(field, [&](const ConfigNode& node) {
      if (node.kind != Kind::kScalar || node.quoted || (node.text != "true" && node.text != "false"))
        return wrong(field, node, FieldType::kBool);
      value = node.text == "true";
    });
  }
  void visit(const Field& field, int64_t& value) override {
    read(field, [&](const ConfigNode& node) { number(field, node, FieldType::kInteger, value); });
  }
  void visit(const Field& field, double& value) override {
    read(field, [&](const ConfigNode& node) { number(field, node, FieldType::kNumber, value); });
  }
  void visit(const Field& field, std::string& value) override {
    read(field, [&](const ConfigNode& node) { string(field, node, FieldType::kString, value); });
  }
  void visit(const Field& field, std::vector<int64_t>& value) override {
    list(field, FieldType::kIntegerList, value,
         [&](const ConfigNode& item, int64_t& one) { number(field, item, FieldType::kInteger, one); });
  }
  void visit(const Field& field, std::vector<double>& value) override {
    list(field, FieldType::kNumberList, value,
         [&](const ConfigNode& item, double& one) { number(field, item, FieldType::kNumber, one); });
  }
  void visit(const Field& field, std::vector<std::string>& value) override {
    list(field, FieldType::kStringList, value,
         [&](const ConfigNode& item, std::string& one) { string(field, item, FieldType::kString, one); });
  }

 private:
  template <class Read>
  void read(const Field& field, Read&& read_node) {
    names.push_back(field.name);
    for (const ConfigEntry& entry : node_.entries)
      if (entry.key == field.name) read_node(entry.value);
  }

  void wrong(const Field& field, const ConfigNode& node, FieldType type, const std::string& hint = "") {
    problems_.add("{}: {}.{}: given {}, expected {}{}", node.place, section_, field.name, describe(node),
                  expectation(field, type), hint);
  }

  template <class T>
  void number(const Field& field, const ConfigNode& node, FieldType type, T& value) {
    T parsed{};
    if (node.kind != Kind::kScalar || node.quoted || !parse(node.text, parsed)) {
      const bool zero = node.kind == Kind::kScalar && has_leading_zero(without_sign(node.text));
      return wrong(field, node, type,
                   zero ? "; leading zeros are refused, they mean octal to some readers" : "");
    }
    if ((field.minimum && static_cast<double>(parsed) < *field.minimum) ||
        (field.maximum && static_cast<double>(parsed) > *field.maximum))
      return wrong(field, node, type);
    value = parsed;
  }

  void string(const Field& field, const ConfigNode& node, FieldType type, std::string& value) {
    if (node.kind != Kind::kScalar) return wrong(field, node, type);
    if (!field.choices.empty()) {
      if (std::find(field.choices.begin(), field.choices.end(), node.text) == field.choices.end())
        return wrong(field, node, type);
    } else if (!node.quoted) {
      const std::string other = other_type(node.text);
      if (!other.empty())
        return wrong(field, node, type, fmt::format("; YAML reads it as {}, put it in quotes", other));
    }
    value = node.text;
  }

  template <class T, class ReadItem>
  void list(const Field& field, FieldType type, std::vector<T>& value, ReadItem&& read_item) {
    read(field, [&](const ConfigNode& node) {
      if (node.kind != Kind::kList) return wrong(field, node, type, ", such as [a, b]");
      value.assign(node.items.size(), T{});
      for (size_t i = 0; i < node.items.size(); ++i) read_item(node.items[i], value[i]);
    });
  }

  std::string section_;
  const ConfigNode& node_;
  ConfigProblems& problems_;
};

}  // namespace

std::string unknown_key_message(const std::string& key, const std::vector<std::string>& known_keys) {
  const std::string nearest = nearest_key(key, known_keys);
  return nearest.empty() ? "unknown key; `trireme config docs` lists all of them"
                         : fmt::format("unknown key; did you mean {}?", nearest);
}

void read_section(const ConfigSection& section, const ConfigNode& node,
                  const std::vector<std::string>& known_keys, ConfigProblems& problems) {
  if (node.kind == Kind::kNull) return;
  if (node.kind != Kind::kMap) {
    problems.add("{}: {}: given {}, expected a mapping", node.place, section.name, describe(node));
    return;
  }
  FieldReader reader(section.name, node, problems);
  section.fields(reader);
  for (const ConfigEntry& entry : node.entries) {
    if (std::find(reader.names.begin(), reader.names.end(), entry.key) != reader.names.end()) continue;
    const std::string key = fmt::format("{}.{}", section.name, entry.key);
    problems.add("{}: {}: {}", entry.place, key, unknown_key_message(key, known_keys));
  }
}

}  // namespace trireme
