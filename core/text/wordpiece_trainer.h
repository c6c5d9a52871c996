#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/text/word_counts.h"
#include "core/text/wordpiece.h"

namespace trireme {

struct WordPieceTrainingOptions {
  int64_t vocab_size = 8192;  ///< of the result, special tokens and single characters included
  int64_t min_frequency = 2;  ///< pairs seen less often are not merged
  BertTextOptions text = {};
  int64_t max_word_length = 100;  ///< of the tokenizer; longer words are not learned from
  int num_threads = 1;            ///< for counting words; the result does not depend on it
};

/// Learns a WordPiece vocabulary by merging the most frequent pair of pieces, again and again: the rule of
/// Hugging Face's WordPieceTrainer. (The likelihood rule of Schuster and Nakajima 2012 was never published in
/// full.) Ids: the special tokens, the characters in ascending order, those seen inside words with "##", then
/// the merges; among pairs equally frequent the one with the lowest ids is taken. Hugging Face numbers the
/// "##" characters by chance, so that its ids differ, and its tokens where such a tie decides. Characters
/// beyond the 1000 most frequent, and words that hold them, are left to [UNK].
class WordPieceTrainer {
 public:
  explicit WordPieceTrainer(WordPieceTrainingOptions options);

  /// Counts the words of these texts; they need not live longer.
  void add(std::span<const std::string_view> texts);
  /// Fewer tokens than asked for when the text has no more pairs. Throws DataError when no text was added,
  /// ConfigError when the vocabulary cannot hold the characters and special tokens.
  WordPieceVocabulary train() const;

 private:
  WordPieceTrainingOptions options_;
  WordCounts counts_;
};

}  // namespace trireme
