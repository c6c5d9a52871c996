#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/data/padded_batch.h"
#include "core/data/random_draws.h"
#include "core/data/sentence_spans.h"

namespace trireme {

/// BERT's samples of one file: [CLS] a [SEP] b [SEP] with segments and the label 0 where b follows a, 1 where
/// it is random; without next_sentence [CLS] a [SEP]. What is too long loses tokens of the longer segment, at
/// a random end. Every pass over the file cuts, pairs and masks anew. Thread-safe.
class SentenceFile {
 public:
  /// `number` tells the files of a part apart. Throws DataError, see SentenceCutter.
  SentenceFile(const std::string& prefix, DataPart part, const DataConfig& config, const SampleNeeds& needs,
               uint64_t seed, int64_t number);

  const std::string& prefix() const { return dataset_.prefix(); }
  /// Of the first pass; the others have a few more or less.
  int64_t num_samples() const { return num_samples_; }
  /// Sample `index` of all passes, one after the other. In validation the samples of the first pass come in
  /// the order of the file, in training those of each pass in a random one. Remembers where passes begin: the
  /// first call takes time in proportion to the passes before its own.
  SampleContent make(int64_t index) const;
  std::string description() const;

 private:
  struct Pass {
    int64_t number;
    int64_t begin;  ///< its first sample
    std::vector<SentenceSpan> spans;

    int64_t size() const { return static_cast<int64_t>(spans.size()); }
  };

  /// What draws are for, apart from each other.
  enum class Draws { kOrder, kSpans, kContent };
  RandomKey key(Draws draws, int64_t pass) const;
  std::shared_ptr<const Pass> cut(int64_t number, int64_t begin) const;
  /// The pass that a sample is in.
  std::shared_ptr<const Pass> pass_of(int64_t index) const;
  std::vector<int32_t> read(int64_t first, int64_t end) const;
  std::vector<int32_t> read_random(const SentenceSpan& span, size_t length_a, RandomDraws& draws) const;

  IndexedDataset dataset_;
  DataPart part_;
  DataRange range_;
  DataConfig config_;
  SampleNeeds needs_;
  uint64_t seed_;
  int64_t number_;
  int64_t max_tokens_;
  SentenceCutter cutter_;
  int64_t num_samples_;
  mutable std::mutex mutex_;
  mutable std::vector<int64_t> pass_begins_;  ///< of those known, and the end of the last
  mutable std::shared_ptr<const Pass> pass_;  ///< the last one that was asked for
};

}  // namespace trireme
