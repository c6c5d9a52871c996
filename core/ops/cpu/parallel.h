#pragma once

#include <algorithm>
#include <cstdint>

#include "core/tensor/context.h"

namespace trireme::ops::cpu {

/// Splits [0, total) into one piece per thread, at multiples of `grain`, and calls body(begin, end) for each.
/// Only for work whose result does not depend on where it is split. Less than `grain` runs on this thread.
template <class Body>
void parallel_ranges(const Context& context, int64_t total, int64_t grain, Body&& body) {
  const int64_t num_grains = (total + grain - 1) / grain;
  const int64_t num_pieces = std::min<int64_t>(context.num_threads, num_grains);
  if (num_pieces <= 1) {
    if (total > 0) body(int64_t{0}, total);
    return;
  }
#pragma omp parallel for num_threads(static_cast <int>(num_pieces)) schedule(static, 1)
  for (int64_t piece = 0; piece < num_pieces; ++piece) {
    const int64_t begin = num_grains * piece / num_pieces * grain;
    const int64_t end = std::min(total, num_grains * (piece + 1) / num_pieces * grain);
    body(begin, end);
  }
}

/// A rectangle of elements.
struct Block {
  int64_t row_begin = 0, row_end = 0, col_begin = 0, col_end = 0;
  int64_t cols() const { return col_end - col_begin; }
};

constexpr int64_t kElementsPerThread = 8192;  // fewer do not pay for waking a thread

/// Splits rows of `cols` elements between the threads.
template <class Body>
void parallel_rows(const Context& context, int64_t rows, int64_t cols, Body&& body) {
  const int64_t grain = std::max<int64_t>(1, kElementsPerThread / std::max<int64_t>(cols, 1));
  parallel_ranges(context, rows, grain, [&](int64_t begin, int64_t end) {
    body(Block{begin, end, 0, cols});
  });
}

/// Splits element-wise work over tensors of one shape: by columns of one long row when all are contiguous,
/// otherwise by rows.
template <class Body, class... Tensors>
void parallel_elements(const Context& context, Body&& body, const Tensor& first, const Tensors&... others) {
  if (first.is_contiguous() && (others.is_contiguous() && ...)) {
    parallel_ranges(context, first.num_elements(), kElementsPerThread, [&](int64_t begin, int64_t end) {
      body(Block{0, 1, begin, end});
    });
  } else {
    parallel_rows(context, first.rows(), first.cols(), body);
  }
}

}  // namespace trireme::ops::cpu
