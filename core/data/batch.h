#pragma once

#include <array>

#include "core/tensor/tensor.h"

namespace trireme {

/// What a batch is scored by: losses of tokens, losses of samples (BERT's next sentence, classes), and in
/// training minus the weighted disagreement between attention's heads, of every sample. Each is a sum over
/// what counts, divided once by how many count in the global batch; a run's loss adds the means.
enum class LossTerm { kTokens, kSamples, kDisagreement };
inline constexpr size_t kNumLossTerms = 3;

template <class T>
struct PerTerm : std::array<T, kNumLossTerms> {
  T& operator[](LossTerm term) { return this->at(static_cast<size_t>(term)); }
  const T& operator[](LossTerm term) const { return this->at(static_cast<size_t>(term)); }
};

/// The sequences of a batch: the one that is predicted or read (of a decoder: its own), and what an encoder
/// reads for it.
enum class Sequence { kTokens, kSource };
inline constexpr size_t kNumSequences = 2;

/// In place of a token that the others are to fill in: it has no embedding but its position and segment, and
/// no query sees its key.
inline constexpr int32_t kHiddenToken = -1;

/// One micro-batch, with every coordinate explicit: nothing is derived from T. B samples of T tokens, with a
/// source of S tokens where there is an encoder. What is optional may be undefined.
struct Batch {
  Tensor tokens;      ///< int32 [B, T]; a sample's hidden ones are behind its others
  Tensor targets;     ///< int32 [B, T]; -1 (ops::kIgnoredTarget) counts nothing
  Tensor positions;   ///< int32 [B, T]; restart at a document's start when documents are masked
  Tensor sample_ids;  ///< int64 [B], global sample numbers: coordinates of random numbers
  Tensor key_begin;   ///< int32 [B, T], optional: first key each query may see (start of its document)
  Tensor lengths;     ///< int32 [B], optional: tokens of each sample, the rest is padding; undefined: T
  Tensor segments;    ///< int32 [B, T], optional: token types (BERT's sentence A and B)
  Tensor labels;      ///< int32 [B], optional: class of each sample; -1 counts nothing

  Tensor source_tokens;     ///< int32 [B, S], optional
  Tensor source_positions;  ///< int32 [B, S]
  Tensor source_lengths;    ///< int32 [B]

  PerTerm<int64_t> num_targets{};  ///< targets and labels that count; of disagreement none

  /// What each term's sum is divided by.
  PerTerm<int64_t> counts() const {
    PerTerm<int64_t> counts = num_targets;
    counts[LossTerm::kDisagreement] = num_samples();
    return counts;
  }
  int64_t num_samples() const { return tokens.size(0); }
  int64_t length(Sequence sequence = Sequence::kTokens) const {
    return sequence == Sequence::kSource ? source_tokens.size(1) : tokens.size(1);
  }
  const Tensor& positions_of(Sequence sequence) const {
    return sequence == Sequence::kSource ? source_positions : positions;
  }
  const Tensor& lengths_of(Sequence sequence) const {
    return sequence == Sequence::kSource ? source_lengths : lengths;
  }
};

}  // namespace trireme
