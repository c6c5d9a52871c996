#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace trireme {

/// Reads the vocabulary of an untrusted tokenizer file: {"token": id} with ids from 0 to n - 1, each once,
/// and the added tokens of Hugging Face's tokenizer.json. Messages begin with `name`.
class VocabularyReader {
 public:
  explicit VocabularyReader(std::string name) : name_(std::move(name)) {}

  /// `num_added` more tokens may follow.
  void add_all(const nlohmann::json& vocabulary, size_t num_added);
  void add(const std::string& text, const nlohmann::json& id);
  std::optional<int32_t> find(const std::string& text) const;
  /// Adds the entries of root["added_tokens"] that are not in the vocabulary; gives the ids of all. They must
  /// be special and matched as they stand.
  std::vector<int32_t> add_special(const nlohmann::json& root);
  /// The tokens by id.
  std::vector<std::string> take() { return std::move(tokens_); }
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string name_;
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int32_t> ids_;
};

/// Parses `text`; DataError naming `name` when it is no JSON.
nlohmann::json parse_tokenizer_json(const std::string& text, const std::string& name);
/// The value of `object[key]`, or null where it is absent.
const nlohmann::json& json_field(const nlohmann::json& object, const char* key);
/// A field that must be absent, null, false, 0 or empty; `where` is what its name begins with.
void require_unset(const VocabularyReader& reader, const nlohmann::json& object, const std::string& where,
                   const char* key);
/// The text under "type", or the JSON of what stands there instead.
std::string json_type(const nlohmann::json& object);

/// Hugging Face's entry for a special token.
nlohmann::ordered_json added_token_json(const std::string& text, int32_t id);
/// {"token":id,...} in the order of ids: nlohmann's ordered_json looks a key up by walking all others.
std::string vocabulary_json(const std::vector<std::string>& tokens);

}  // namespace trireme
