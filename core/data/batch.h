#pragma once

#include "core/tensor/tensor.h"

namespace trireme {

/// One micro-batch, with every coordinate explicit: nothing is derived from T. B samples of T tokens.
struct Batch {
  Tensor tokens;            ///< int32 [B, T]
  Tensor targets;           ///< int32 [B, T]; -1 (ops::kIgnoredTarget) counts nothing
  Tensor positions;         ///< int32 [B, T]; restart at a document's start when documents are masked
  Tensor sample_ids;        ///< int64 [B], global sample numbers: coordinates of random numbers
  Tensor key_begin;         ///< int32 [B, T], optional: first key each query may see (start of its document)
  int64_t num_targets = 0;  ///< targets that count

  int64_t num_samples() const { return tokens.size(0); }
  int64_t length() const { return tokens.size(1); }
};

}  // namespace trireme
