#include "core/data/token_windows.h"

#include <algorithm>
#include <numeric>

#include "core/data/sample_source.h"

namespace trireme {

TokenWindows::TokenWindows(std::shared_ptr<const IndexedDataset> dataset, int64_t begin, int64_t end,
                           int64_t seq_length, int64_t vocab_size)
    : dataset_(std::move(dataset)),
      begin_(begin),
      end_(end),
      seq_length_(seq_length),
      vocab_size_(vocab_size),
      num_windows_(std::max<int64_t>(0, end - begin - 1) / seq_length) {}

int64_t TokenWindows::fill(int64_t window, const SampleRow& row) const {
  const int64_t first = begin_ + window * seq_length_;
  dataset_->copy_tokens(first, row.tokens, vocab_size_);
  std::copy(row.tokens.begin() + 1, row.tokens.end(), row.targets.begin());
  dataset_->copy_tokens(first + seq_length_, row.targets.last(1), vocab_size_);
  std::iota(row.positions.begin(), row.positions.end(), 0);
  return row.key_begin.empty() ? seq_length_ : mask_documents(first, row);
}

int64_t TokenWindows::mask_documents(int64_t first_token, const SampleRow& row) const {
  int64_t document = dataset_->document_of(first_token);
  int64_t next_begin = dataset_->document_begin(document + 1) - first_token;
  int64_t num_targets = seq_length_;
  int32_t begin = 0;
  for (int64_t t = 0; t < seq_length_; ++t) {
    row.key_begin[t] = begin;
    row.positions[t] = static_cast<int32_t>(t) - begin;
    if (t + 1 != next_begin) continue;
    row.targets[t] = kNoTarget;
    --num_targets;
    begin = static_cast<int32_t>(t + 1);
    while (next_begin == t + 1 && ++document < dataset_->num_documents())  // empty documents end here too
      next_begin = dataset_->document_begin(document + 1) - first_token;
  }
  return num_targets;
}

}  // namespace trireme
