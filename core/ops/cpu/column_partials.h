#pragma once

#include <algorithm>

#include "core/ops/cpu/parallel.h"

namespace trireme::ops::cpu {

/// Sums over rows that do not depend on the number of threads: the rows are cut into parts by their number
/// alone, each part has its own float32 sums, and these are added in order.
class ColumnPartials {
 public:
  /// `num_sums` vectors of `cols` for every part.
  ColumnPartials(Context& context, int64_t rows, int64_t cols, int64_t num_sums);

  /// Calls body(row_begin, row_end, sums) for every part; `sums` is uninitialised, [num_sums, cols].
  template <class Body>
  void for_each_part(Body&& body) {
    parallel_ranges(context_, num_parts_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part)
        body(rows_ * part / num_parts_, rows_ * (part + 1) / num_parts_,
             sums_.data<float>() + part * stride_);
    });
  }

  /// out[j] = sum number `index` over all parts (+ out[j] when accumulate).
  void add_up(int64_t index, Tensor& out, bool accumulate) const;

 private:
  Context& context_;
  int64_t rows_, cols_, num_parts_, stride_;
  Tensor sums_;
};

}  // namespace trireme::ops::cpu
