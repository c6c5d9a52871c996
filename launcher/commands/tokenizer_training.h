#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/character_tokenizer.h"
#include "core/text/sentencepiece_tokenizer.h"
#include "core/text/tokenizer.h"

namespace trireme {

enum class TrainedTokenizer { kBpe, kCharacter, kWordPiece, kWords, kSentencePiece };

/// What tokenizer `trireme prepare` trains.
struct TokenizerTrainingOptions {
  TrainedTokenizer kind = TrainedTokenizer::kBpe;
  std::optional<int64_t> vocab_size;  ///< words: without it all that are frequent enough; others: 8192
  int64_t min_frequency = 2;          ///< BPE, WordPiece: of pairs; words: of words
  CharacterUnit character_unit = CharacterUnit::kCodePoint;
  bool end_of_document = false;   ///< of a character tokenizer
  bool keep_case = false;         ///< WordPiece, words
  bool keep_accents = false;      ///< WordPiece
  int64_t max_word_length = 100;  ///< WordPiece: longer words are [UNK]
  SentencePieceModel sentencepiece_model = SentencePieceModel::kUnigram;
  int num_threads = 1;
};

/// A text and where it came from, for messages.
struct PlacedText {
  std::string_view text;
  std::string_view place;
};

/// One of the trainers of core/text.
class TokenizerTraining {
 public:
  virtual ~TokenizerTraining() = default;
  /// The texts need not live longer. Throws DataError naming the place of a text that cannot be taken.
  virtual void add(const std::vector<PlacedText>& texts) = 0;
  virtual std::unique_ptr<Tokenizer> train() const = 0;
};

std::unique_ptr<TokenizerTraining> make_training(const TokenizerTrainingOptions& options);

}  // namespace trireme
