#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/bert_text.h"
#include "core/text/tokenizer.h"

namespace trireme {

/// What makes a WordPiece tokenizer. A token that continues a word begins with "##".
struct WordPieceVocabulary {
  std::vector<std::string> tokens;  ///< by id; [UNK] among them
  BertTextOptions text;
  int64_t max_word_length = 100;  ///< code points; Hugging Face's default, google-research/bert has 200
};

inline constexpr const char* kWordPieceContinuation = "##";

/// BERT's tokenizer (Devlin et al. 2019; google-research/bert, tokenization.py): normalize_bert_text,
/// split_bert_words, then for each word the longest token that fits, again and again; a word that cannot be
/// spelled, or is longer than max_word_length, is [UNK]. [PAD], [UNK], [CLS], [SEP] and [MASK] are its
/// special tokens, where the vocabulary has them. Takes any bytes. decode puts a space before every token
/// that does not continue a word.
class WordPieceTokenizer : public Tokenizer {
 public:
  /// Throws DataError when the vocabulary contradicts itself: no [UNK], an empty token, a token twice.
  explicit WordPieceTokenizer(WordPieceVocabulary vocabulary);

  std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const override;
  std::string kind() const override { return "WordPiece"; }
  const BertTextOptions& text_options() const { return text_; }
  int64_t max_word_length() const { return max_word_length_; }

 protected:
  std::string join(std::span<const int32_t> ids) const override;
  std::string hashed_details() const override;
  StoredFile stored() const override;

 private:
  void encode_word(std::string_view word, std::vector<int32_t>& ids) const;

  using Pieces = std::unordered_map<std::string_view, int32_t>;  ///< views of the tokens of this object
  BertTextOptions text_;
  int64_t max_word_length_;
  Pieces begin_;        ///< tokens that begin a word
  Pieces inside_;       ///< tokens that continue one, without "##"
  size_t longest_ = 0;  ///< bytes of the longest of both
};

/// The special tokens in the order that a trained vocabulary has them.
inline constexpr const char* kWordPieceSpecials[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};

}  // namespace trireme
