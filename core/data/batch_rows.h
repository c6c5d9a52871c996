#pragma once

#include <algorithm>
#include <span>

#include "core/data/batch.h"
#include "core/data/token_windows.h"

namespace trireme {

/// A batch for these samples, sample_ids filled in; key_begin only for masked documents.
inline Batch allocate_batch(Allocator& allocator, std::span<const int64_t> sample_numbers, int64_t length,
                            bool document_mask) {
  const auto rows = static_cast<int64_t>(sample_numbers.size());
  const auto allocate = [&](Shape shape, DType dtype) {
    return Tensor::allocate(allocator, std::move(shape), dtype, MemoryCategory::kWorkspace);
  };
  Batch batch;
  batch.tokens = allocate({rows, length}, DType::kInt32);
  batch.targets = allocate({rows, length}, DType::kInt32);
  batch.positions = allocate({rows, length}, DType::kInt32);
  if (document_mask) batch.key_begin = allocate({rows, length}, DType::kInt32);
  batch.sample_ids = allocate({rows}, DType::kInt64);
  std::copy(sample_numbers.begin(), sample_numbers.end(), batch.sample_ids.data<int64_t>());
  return batch;
}

inline SampleRow row_of(const Batch& batch, int64_t row) {
  const auto span = [&](const Tensor& tensor) {
    return tensor.defined() ? std::span(tensor.row<int32_t>(row), static_cast<size_t>(tensor.cols()))
                            : std::span<int32_t>();
  };
  return {span(batch.tokens), span(batch.targets), span(batch.positions), span(batch.key_begin)};
}

}  // namespace trireme
