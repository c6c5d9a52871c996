#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/byte_level_bpe.h"
#include "core/text/word_counts.h"

namespace trireme {

struct BpeTrainingOptions {
  int64_t vocab_size = 8192;  ///< of the result, special tokens and the 256 bytes included
  int64_t min_frequency = 2;  ///< pairs seen less often are not merged
  std::vector<std::string> special_tokens = {kEndOfDocument};
  int num_threads = 1;  ///< for counting words; the result does not depend on it
};

/// Learns a byte-level BPE vocabulary (Sennrich, Haddow and Birch 2016): merges the most frequent pair, again
/// and again. Ids: the special tokens, the 256 bytes in the order of their symbols, then the merges. Among
/// pairs equally frequent the one with the lowest ids is taken, so that the result is that of Hugging Face's
/// BpeTrainer with the byte alphabet (words beyond 4096 bytes excepted, which are counted in pieces).
class BpeTrainer {
 public:
  /// Throws ConfigError when the vocabulary cannot hold the bytes and special tokens.
  explicit BpeTrainer(BpeTrainingOptions options);
  ~BpeTrainer();

  /// Counts the words of these texts; they need not live longer.
  void add(std::span<const std::string_view> texts);
  /// Fewer tokens than asked for when the text has no more pairs. Throws DataError when no text was added.
  BpeVocabulary train() const;

 private:
  struct Scratch;
  BpeTrainingOptions options_;
  WordSplitter splitter_;
  WordCounts counts_;
  std::vector<std::unique_ptr<Scratch>> scratch_;  ///< one per thread
};

}  // namespace trireme
