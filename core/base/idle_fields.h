#pragma once

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "core/base/field_texts.h"

namespace trireme {

/// Fields that mean nothing in some situations. What a person sets there would be accepted and ignored, so it
/// is refused: there they keep their usual values.
template <class Situation>
struct IdleFields {
  std::vector<const char*> names;
  bool (*idle)(const Situation& situation);
  const char* words;  ///< of that situation: "without position_embedding_type rope"
};

/// "SECTION.KEY: given VALUE, expected nothing WORDS" when the field has another value than usual; else
/// empty. The field must be there.
std::string idle_field_error(const char* section, const std::string& name, const char* words,
                             const FieldTexts& given, const FieldTexts& usual);

/// A sentence for every field that has another value in `given` than in `usual` where it means nothing.
template <class Config, class Situation>
std::vector<std::string> idle_field_errors(const char* section, const Config& given, const Config& usual,
                                           const Situation& situation,
                                           std::span<const IdleFields<Situation>> table) {
  const FieldTexts given_texts = field_texts(given), usual_texts = field_texts(usual);
  std::vector<std::string> errors;
  for (const IdleFields<Situation>& fields : table)
    for (const char* name : fields.names) {
      const std::string error = idle_field_error(section, name, fields.words, given_texts, usual_texts);
      if (!error.empty() && fields.idle(situation)) errors.push_back(error);
    }
  return errors;
}

/// Whether the field means nothing in this situation.
template <class Situation>
bool is_idle(const std::string& field, const Situation& situation,
             std::span<const IdleFields<Situation>> table) {
  return std::any_of(table.begin(), table.end(), [&](const IdleFields<Situation>& fields) {
    return std::find(fields.names.begin(), fields.names.end(), field) != fields.names.end() &&
           fields.idle(situation);
  });
}

}  // namespace trireme
