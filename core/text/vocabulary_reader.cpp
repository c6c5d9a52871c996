#include "core/text/vocabulary_reader.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme {

using nlohmann::json;

void VocabularyReader::add_all(const json& vocabulary, size_t num_added) {
  if (!vocabulary.is_object()) fail("the vocabulary is not an object of token: id");
  tokens_.resize(vocabulary.size() + num_added);
  for (const auto& [text, id] : vocabulary.items()) add(text, id);
}

void VocabularyReader::add(const std::string& text, const json& id_value) {
  if (!id_value.is_number_integer()) fail(fmt::format("token '{}' has no whole number as id", text));
  const auto id = id_value.get<int64_t>();
  if (id < 0 || id >= static_cast<int64_t>(tokens_.size()))
    fail(fmt::format("token '{}' has id {}, expected 0 to {} without gaps", text, id,
                     static_cast<int64_t>(tokens_.size()) - 1));
  if (!tokens_[id].empty())
    fail(fmt::format("tokens '{}' and '{}' have the same id {}", tokens_[id], text, id));
  if (text.empty()) fail("a token is empty");
  tokens_[id] = text;
  ids_.emplace(text, static_cast<int32_t>(id));
}

std::optional<int32_t> VocabularyReader::find(const std::string& text) const {
  const auto found = ids_.find(text);
  return found == ids_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<int32_t> VocabularyReader::add_special(const json& root) {
  std::vector<int32_t> special_ids;
  const json& added = json_field(root, "added_tokens");
  if (added.is_null()) return special_ids;
  size_t known = 0;
  for (const json& entry : added) {
    const json& content = entry.is_object() ? json_field(entry, "content") : entry;
    if (!content.is_string() || content == "" || !entry.is_object() ||
        !json_field(entry, "id").is_number_integer())
      fail("added_tokens has an entry without id or content");
    const auto text = content.get<std::string>();
    if (json_field(entry, "special") != true)
      fail(fmt::format("added token '{}' is not special, which is not supported", text));
    for (const char* key : {"single_word", "lstrip", "rstrip"})
      require_unset(*this, entry, fmt::format("added token '{}': ", text), key);
    if (const auto id = find(text)) {
      if (*id != json_field(entry, "id").get<int64_t>())
        fail(fmt::format("added token '{}' has id {}, but {} in the model's vocabulary", text,
                         json_field(entry, "id").dump(), *id));
      ++known;
    }
  }
  tokens_.resize(tokens_.size() - known);
  for (const json& entry : added) {
    const auto text = json_field(entry, "content").get<std::string>();
    if (!find(text)) add(text, json_field(entry, "id"));
    special_ids.push_back(*find(text));
  }
  return special_ids;
}

void VocabularyReader::fail(const std::string& what) const {
  throw DataError(name_ + ": " + what);
}

json parse_tokenizer_json(const std::string& text, const std::string& name) {
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    throw DataError(fmt::format("{}: not JSON: {}", name, error.what()));
  }
}

const json& json_field(const json& object, const char* key) {
  static const json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

void require_unset(const VocabularyReader& reader, const json& object, const std::string& where,
                   const char* key) {
  const json& value = json_field(object, key);
  if (value.is_null() || value == false || value == 0 || value == "") return;
  reader.fail(fmt::format("{}{} is {}, which is not supported; expected none", where, key, value.dump()));
}

std::string json_type(const json& object) {
  const json& type = object.is_object() ? json_field(object, "type") : object;
  return type.is_string() ? type.get<std::string>() : type.dump();
}

nlohmann::ordered_json added_token_json(const std::string& text, int32_t id) {
  return {{"id", id},        {"content", text},     {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

std::string vocabulary_json(const std::vector<std::string>& tokens) {
  std::string result = "{";
  for (size_t id = 0; id < tokens.size(); ++id)
    result += fmt::format("{}{}:{}", id ? "," : "", json(tokens[id]).dump(), id);
  return result + '}';
}

}  // namespace trireme
