#include "core/base/idle_fields.h"

#include <fmt/format.h>

#include "core/base/check.h"

namespace trireme {
namespace {

const std::string& value_of(const FieldTexts& texts, const std::string& name) {
  const auto found =
      std::find_if(texts.begin(), texts.end(), [&](const auto& text) { return text.first == name; });
  TRIREME_ASSERT(found != texts.end(), "there is no field " + name);
  return found->second;
}

}  // namespace

std::string idle_field_error(const char* section, const std::string& name, const char* words,
                             const FieldTexts& given, const FieldTexts& usual) {
  const std::string& value = value_of(given, name);
  if (value == value_of(usual, name)) return "";
  return fmt::format("{}.{}: given {}, expected nothing {}", section, name, value, words);
}

}  // namespace trireme
