#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "core/data/indexed_dataset.h"

namespace trireme {

/// One sample's rows in a batch, all of seq_length.
struct SampleRow {
  std::span<int32_t> tokens;
  std::span<int32_t> targets;
  std::span<int32_t> positions;
  std::span<int32_t> key_begin;  ///< empty: documents are not masked
};

/// The tokens [begin, end) of a data set as windows: window i holds the tokens [i T, i T + T] counted from
/// `begin`, so that every token but the first of all is a target once. Tokens behind the last full window are
/// left out.
class TokenWindows {
 public:
  TokenWindows(std::shared_ptr<const IndexedDataset> dataset, int64_t begin, int64_t end, int64_t seq_length,
               int64_t vocab_size);

  const IndexedDataset& dataset() const { return *dataset_; }
  int64_t begin() const { return begin_; }
  int64_t end() const { return end_; }
  int64_t num_windows() const { return num_windows_; }
  /// Fills the row; returns how many of its targets count.
  int64_t fill(int64_t window, const SampleRow& row) const;

 private:
  int64_t mask_documents(int64_t first_token, const SampleRow& row) const;

  std::shared_ptr<const IndexedDataset> dataset_;
  int64_t begin_, end_, seq_length_, vocab_size_, num_windows_;
};

}  // namespace trireme
