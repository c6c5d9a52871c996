#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/tokenizer.h"
#include "core/text/word_counts.h"

namespace trireme {

/// One token per word or punctuation mark (split_sentence). Ids: [PAD], [UNK], [BOS], [EOS], then the words.
/// What is not among them is [UNK]. Takes any bytes; decode gives a sentence with the spaces that people
/// write (join_sentence). Its tokenizer.json:
///   {"type": "trireme-words", "version": 1, "lower_case": true, "words": [...]}
class WordsTokenizer : public Tokenizer {
 public:
  /// Throws DataError when a word is empty, twice or a special token.
  WordsTokenizer(const std::vector<std::string>& words, bool lower_case);

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const override;
  std::string kind() const override { return "words"; }

 protected:
  std::string join(std::span<const int32_t> ids) const override;
  std::string hashed_details() const override;
  StoredFile stored() const override;

 private:
  std::unordered_map<std::string_view, int32_t> ids_;  ///< views of the tokens of this object
  bool lower_case_;
};

struct WordsTrainingOptions {
  int64_t vocab_size = 1 << 30;  ///< of the result, special tokens included: the most frequent words
  int64_t min_frequency = 2;     ///< words seen less often are left to [UNK]
  bool lower_case = true;
  int num_threads = 1;  ///< the result does not depend on it
};

/// Counts words, then makes the tokenizer: the most frequent first, equally frequent ones in the order of
/// their bytes.
class WordsTrainer {
 public:
  /// Throws ConfigError when the vocabulary cannot hold the special tokens and a word.
  explicit WordsTrainer(WordsTrainingOptions options);
  void add(std::span<const std::string_view> texts);
  /// Throws DataError when no text was added.
  std::unique_ptr<WordsTokenizer> train() const;

 private:
  WordsTrainingOptions options_;
  WordCounts counts_;
};

/// Reads the JSON described above; `name` is for messages. Throws DataError.
std::unique_ptr<WordsTokenizer> parse_words_json(const nlohmann::json& root, const std::string& name);

}  // namespace trireme
