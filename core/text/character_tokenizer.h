#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.h"

namespace trireme {

enum class CharacterUnit { kByte, kCodePoint };

/// One token per byte or per Unicode code point, ids in ascending order of the unit. Its tokenizer.json:
///   {"type": "trireme-character", "version": 1, "unit": "byte" | "code_point",
///    "units": [values in ascending order], "end_of_document": true | false}
/// With end_of_document, the token <|endoftext|> follows as the last id.
class CharacterTokenizer : public Tokenizer {
 public:
  /// `units` ascending, each once. Throws DataError when they are not, or not of their kind.
  CharacterTokenizer(CharacterUnit unit, const std::vector<uint32_t>& units, bool end_of_document);

  /// Throws DataError naming the place when a unit is not in the vocabulary or the text is not UTF-8.
  std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const override;
  std::string kind() const override { return "character"; }

 protected:
  std::string hashed_details() const override;
  StoredFile stored() const override;

 private:
  CharacterUnit unit_;
  std::vector<uint32_t> units_;
  std::vector<int32_t> id_of_unit_;  ///< -1 where there is none
};

/// Collects the units of texts, then makes the tokenizer.
class CharacterTrainer {
 public:
  explicit CharacterTrainer(CharacterUnit unit);
  /// Throws DataError naming the byte when the text is not UTF-8 (code points only).
  void add(std::string_view text);
  /// Throws DataError when no text was added.
  std::unique_ptr<CharacterTokenizer> train(bool end_of_document) const;

 private:
  CharacterUnit unit_;
  std::vector<bool> seen_;
};

/// Reads the JSON described above; `name` is for messages. Throws DataError.
std::unique_ptr<CharacterTokenizer> parse_character_json(const nlohmann::json& root, const std::string& name);

}  // namespace trireme
