#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/text/special_splitter.h"

namespace trireme {

/// What special tokens such as <|endoftext|> mean to encode and decode.
enum class SpecialTokens {
  kParse,  ///< encode turns their text into their id; decode writes their text
  kIgnore  ///< encode takes their text as ordinary text; decode leaves them out
};

/// The special tokens that objectives need, where the tokenizer has them. None is ever added by encode.
struct SpecialIds {
  std::optional<int32_t> pad;
  std::optional<int32_t> unknown;
  std::optional<int32_t> begin;  ///< of a target sentence
  std::optional<int32_t> end;    ///< of a document or a target sentence
  std::optional<int32_t> cls;
  std::optional<int32_t> sep;
  std::optional<int32_t> mask;
};

/// Text to token ids and back. Immutable once made; every member may be called from several threads.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Nothing is added to the text. Throws DataError when the tokenizer cannot represent it (character
  /// tokenizer only).
  virtual std::vector<int32_t> encode(std::string_view text, SpecialTokens special) const = 0;
  /// The text of the tokens. Throws DataError on an id outside [0, vocab_size).
  std::string decode(std::span<const int32_t> ids, SpecialTokens special) const;

  int64_t vocab_size() const { return static_cast<int64_t>(tokens_.size()); }
  /// The bytes a token stands for; for a special token, its text.
  const std::string& token(int32_t id) const;
  std::optional<int32_t> id_of(std::string_view token) const;
  bool is_special(int32_t id) const;
  /// Whether a text cut by cut_between_words has the tokens of its parts.
  virtual bool may_be_cut() const { return true; }
  const SpecialIds& special() const { return special_; }
  /// special().end: what closes a document, if the tokenizer has it.
  std::optional<int32_t> end_of_document_id() const { return special_.end; }
  /// "byte-level BPE", "character", "WordPiece", ...
  virtual std::string kind() const = 0;
  /// XXH3-128 of all that decides what encode and decode return, as 32 hexadecimal digits. The same however
  /// the tokenizer was stored.
  std::string content_hash() const;
  /// Writes tokenizer.json (SentencePiece: tokenizer.model) into `folder`, making it; the file appears
  /// complete or not at all.
  void save(const std::string& folder) const;

 protected:
  /// `tokens[id]` are the bytes of each id; `special_ids` are those parsed only on request. <|endoftext|>
  /// among them is special().end where `special` has none.
  Tokenizer(std::vector<std::string> tokens, std::vector<int32_t> special_ids, SpecialIds special = {});
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;
  /// The text of these ids: their bytes one after the other, unless the kind puts something between.
  virtual std::string join(std::span<const int32_t> ids) const;
  /// What the hash covers besides kind, tokens and special ids.
  virtual std::string hashed_details() const = 0;
  struct StoredFile {
    std::string name;
    std::string content;
  };
  /// What save() writes.
  virtual StoredFile stored() const = 0;

  const std::vector<int32_t>& special_ids() const { return special_ids_; }
  /// The special tokens with their texts, as views into this object.
  std::vector<SpecialText> special_texts() const;

 private:
  std::vector<std::string> tokens_;
  std::vector<int32_t> special_ids_;
  std::unordered_map<std::string, int32_t> ids_;
  SpecialIds special_;
};

/// The text of the special token that closes a document.
inline constexpr const char* kEndOfDocument = "<|endoftext|>";

/// Reads what `path` holds: a folder with tokenizer.json (ours or Hugging Face's), GPT-2's encoder.json and
/// vocab.bpe (or vocab.json and merges.txt) or BERT's vocab.txt, or one of these files itself. Throws
/// DataError saying what is wrong or not supported.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& path);

/// Where `trireme prepare` puts the tokenizer of the data set PREFIX: the folder PREFIX-tokenizer.
std::string default_tokenizer_path(const std::string& prefix);
/// That of the target sentences, where they have one of their own: the folder PREFIX-target-tokenizer.
std::string default_target_tokenizer_path(const std::string& prefix);

}  // namespace trireme
