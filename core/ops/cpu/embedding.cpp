#include "core/ops/cpu/embedding.h"

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/embedding.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

HWY_INLINE int64_t id_of(const Tensor& ids, int64_t index) {
  return ids.row<int32_t>(index / ids.cols())[index % ids.cols()];
}

void embedding_forward_rows(const Tensor& table, const Tensor& ids, Tensor& out, bool accumulate,
                            int64_t first_row, const Block& block) {
  dispatch_storage(table.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const int64_t row = id_of(ids, i) - first_row;
      const bool here = row >= 0 && row < table.rows();
      const T* from = table.row<T>(here ? row : 0);
      T* to = out.row<T>(i);
      if (!here) {
        if (!accumulate)
          std::memset(static_cast<void*>(to), 0, static_cast<size_t>(block.cols()) * sizeof(T));
      } else if (accumulate) {
        for_each_vector(block.cols(), [&](auto load_at, auto store_at)
                                          HWY_ATTR { store_at(hn::Add(load_at(to), load_at(from)), to); });
      } else {
        std::memcpy(to, from, static_cast<size_t>(block.cols()) * sizeof(T));
      }
    }
  });
}

void embedding_backward_cols(const Tensor& d_out, const Tensor& ids, Tensor& d_table, bool accumulate,
                             int64_t first_row, int64_t col_begin, int64_t col_end) {
  const int64_t cols = col_end - col_begin;
  if (!accumulate)
    for (int64_t i = 0; i < d_table.rows(); ++i)
      std::memset(d_table.row<float>(i) + col_begin, 0, static_cast<size_t>(cols) * sizeof(float));
  dispatch_storage(d_out.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = 0; i < ids.num_elements(); ++i) {
      const int64_t row = id_of(ids, i) - first_row;
      if (row < 0 || row >= d_table.rows()) continue;
      const T* from = d_out.row<T>(i) + col_begin;
      float* to = d_table.row<float>(row) + col_begin;
      for_each_vector(cols, [&](auto load_at, auto store_at)
                                HWY_ATTR { store_at(hn::Add(load_at(to), load_at(from)), to); });
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(embedding_forward_rows);
HWY_EXPORT(embedding_backward_cols);

void embedding_forward(Context& context, const Tensor& table, const Tensor& ids, Tensor& out, bool accumulate,
                       int64_t first_row) {
  parallel_rows(context, ids.num_elements(), table.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(embedding_forward_rows)(table, ids, out, accumulate, first_row, block);
  });
}

/// Each thread owns columns of the table, so every element is summed by one thread in the order of the ids.
void embedding_backward(Context& context, const Tensor& d_out, const Tensor& ids, Tensor& d_table,
                        bool accumulate, int64_t first_row) {
  constexpr int64_t kCacheLine = 16;  // floats
  parallel_ranges(context, d_table.cols(), kCacheLine, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(embedding_backward_cols)(d_out, ids, d_table, accumulate, first_row, begin, end);
  });
}

}  // namespace trireme::ops::cpu
#endif
