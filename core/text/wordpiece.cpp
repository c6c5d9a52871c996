#include "core/text/wordpiece.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/text/unicode.h"
#include "core/text/word_splitter.h"
#include "core/text/wordpiece_files.h"

namespace trireme {
namespace {

/// Text is normalized in stretches of this many bytes, so that the copies stay small.
constexpr size_t kStretch = 1 << 18;

std::optional<int32_t> find(const std::vector<std::string>& tokens, const char* text) {
  const auto found = std::find(tokens.begin(), tokens.end(), text);
  if (found == tokens.end()) return std::nullopt;
  return static_cast<int32_t>(found - tokens.begin());
}

SpecialIds special_of(const std::vector<std::string>& tokens) {
  return {.pad = find(tokens, "[PAD]"),
          .unknown = find(tokens, "[UNK]"),
          .begin = std::nullopt,
          .end = std::nullopt,
          .cls = find(tokens, "[CLS]"),
          .sep = find(tokens, "[SEP]"),
          .mask = find(tokens, "[MASK]")};
}

std::vector<int32_t> ids_of(const SpecialIds& special) {
  std::vector<int32_t> ids;
  for (const auto& id : {special.pad, special.unknown, special.cls, special.sep, special.mask})
    if (id) ids.push_back(*id);
  return ids;
}

}  // namespace

WordPieceTokenizer::WordPieceTokenizer(WordPieceVocabulary vocabulary)
    : Tokenizer(vocabulary.tokens, ids_of(special_of(vocabulary.tokens)), special_of(vocabulary.tokens)),
      text_(vocabulary.text),
      max_word_length_(vocabulary.max_word_length) {
  if (!special().unknown) throw DataError("the vocabulary has no [UNK]; expected BERT's WordPiece");
  if (max_word_length_ < 1)
    throw DataError(fmt::format("words of at most {} characters; expected 1 or more", max_word_length_));
  for (int32_t id = 0; id < vocab_size(); ++id) {
    const std::string_view text = token(id);
    if (text.empty()) throw DataError(fmt::format("token {} is empty", id));
    const bool continues = text.starts_with(kWordPieceContinuation);
    const std::string_view piece = continues ? text.substr(2) : text;
    if (const auto [first, added] = (continues ? inside_ : begin_).emplace(piece, id); !added)
      throw DataError(fmt::format("tokens {} and {} are both '{}'", first->second, id, text));
    longest_ = std::max(longest_, piece.size());
  }
}

std::vector<int32_t> WordPieceTokenizer::encode(std::string_view text, SpecialTokens mode) const {
  std::vector<int32_t> ids;
  split_at_specials(
      text, mode == SpecialTokens::kParse ? special_texts() : std::vector<SpecialText>{},
      [&](std::string_view part) {
        for (const std::string_view stretch : cut_between_words(part, kStretch)) {
          const std::string normalized = normalize_bert_text(stretch, text_);
          for (const std::string_view word : split_bert_words(normalized)) encode_word(word, ids);
        }
      },
      [&](int32_t id) { ids.push_back(id); });
  return ids;
}

void WordPieceTokenizer::encode_word(std::string_view word, std::vector<int32_t>& ids) const {
  const size_t count = ids.size();
  const auto give_up = [&] {
    ids.resize(count);
    ids.push_back(*special().unknown);
  };
  if (count_code_points(word) > max_word_length_) return give_up();
  for (size_t position = 0; position < word.size();) {
    const Pieces& pieces = position == 0 ? begin_ : inside_;
    size_t length = std::min(longest_, word.size() - position);
    auto found = pieces.end();
    for (; length > 0; --length) {
      found = pieces.find(word.substr(position, length));
      if (found != pieces.end()) break;
    }
    if (length == 0) return give_up();
    ids.push_back(found->second);
    position += length;
  }
}

std::string WordPieceTokenizer::join(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) {
    const std::string_view piece = token(id);
    if (text.empty())
      text += piece;
    else if (piece.starts_with(kWordPieceContinuation))
      text += piece.substr(2);
    else
      text.append(" ").append(piece);
  }
  return text;
}

std::string WordPieceTokenizer::hashed_details() const {
  return fmt::format("clean {} cjk {} accents {} lower {} longest {}", text_.clean_text, text_.space_cjk,
                     text_.strip_accents, text_.lower_case, max_word_length_);
}

Tokenizer::StoredFile WordPieceTokenizer::stored() const {
  WordPieceVocabulary vocabulary{{}, text_, max_word_length_};
  for (int32_t id = 0; id < vocab_size(); ++id) vocabulary.tokens.push_back(token(id));
  return {"tokenizer.json", to_hugging_face_json(vocabulary)};
}

}  // namespace trireme
