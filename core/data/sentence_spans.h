#pragma once

#include <cstdint>
#include <vector>

#include "core/base/philox.h"
#include "core/data/data_part.h"
#include "core/data/indexed_dataset.h"

namespace trireme {

/// The sentences of one of BERT's samples, by number in their file. Segment A is [first, first + num_a); B is
/// the num_b sentences behind it, or with num_b 0 and random_next comes from another document.
struct SentenceSpan {
  int64_t document;  ///< index among the documents with sentences
  int64_t first;
  int32_t num_a;
  int32_t num_b;
  int32_t target_length;  ///< tokens of A and B that were aimed at
  bool random_next;
};

/// The documents of a sentence-indexed file (`trireme prepare --sentences`) cut into samples, as
/// google-research/bert's create_pretraining_data.py does: sentences are taken until they have the target
/// length; that is max_tokens, or with probability short_seq_prob anything from 2 to max_tokens (drawn for
/// every sample). With next_sentence they are divided at random into A and B; with probability 1/2, or where
/// there is one only, B is random, and the sentences that would have been B begin the next sample. So every
/// sentence of every document is used.
class SentenceCutter {
 public:
  struct Options {
    int64_t max_tokens;
    double short_seq_prob;
    bool next_sentence;
  };

  /// Throws DataError where a sentence is empty, or where next_sentence finds fewer than two documents or
  /// none of more than one sentence. `dataset` must outlive it.
  SentenceCutter(const IndexedDataset& dataset, DataRange range, const Options& options);

  int64_t num_documents() const { return static_cast<int64_t>(documents_.size()); }
  /// Sentences of a document with sentences: [first_sentence(document), end_sentence(document)).
  int64_t first_sentence(int64_t document) const;
  int64_t end_sentence(int64_t document) const;

  /// All samples in the order of the documents, a pure function of the key.
  std::vector<SentenceSpan> cut(RandomKey key) const;

 private:
  void require_neighbours() const;
  void cut_document(int64_t document, RandomKey key, std::vector<SentenceSpan>& spans) const;

  const IndexedDataset& dataset_;
  Options options_;
  std::vector<int64_t> documents_;  ///< those with sentences
};

}  // namespace trireme
