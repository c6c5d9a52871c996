#include "core/ops/cpu/elementwise.h"

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/elementwise.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

void add_block(const Tensor& a, const Tensor& b, Tensor& c, const Block& block) {
  dispatch_storage(a.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* from_a = a.row<T>(i) + block.col_begin;
      const T* from_b = b.row<T>(i) + block.col_begin;
      T* to = c.row<T>(i) + block.col_begin;
      for_each_vector(block.cols(), [&](auto load_at, auto store_at) HWY_ATTR {
        store_at(hn::Add(load_at(from_a), load_at(from_b)), to);
      });
    }
  });
}

void scale_block(Tensor& x, float factor, const Block& block) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      T* values = x.row<T>(i) + block.col_begin;
      for_each_vector(block.cols(), [&](auto load_at, auto store_at) HWY_ATTR {
        store_at(hn::Mul(load_at(values), constant(factor)), values);
      });
    }
  });
}

void cast_block(const Tensor& x, Tensor& y, const Block& block) {
  dispatch_storage(x.dtype(), [&]<class From>(From) HWY_ATTR {
    dispatch_storage(y.dtype(), [&]<class To>(To) HWY_ATTR {
      for (int64_t i = block.row_begin; i < block.row_end; ++i) {
        const From* from = x.row<From>(i) + block.col_begin;
        To* to = y.row<To>(i) + block.col_begin;
        if constexpr (std::is_same_v<From, To>) {
          std::memcpy(to, from, static_cast<size_t>(block.cols()) * sizeof(To));
        } else {
          for_each_vector(block.cols(),
                          [&](auto load_at, auto store_at) HWY_ATTR { store_at(load_at(from), to); });
        }
      }
    });
  });
}

void fill_block(Tensor& x, float value, const Block& block) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      T* to = x.row<T>(i) + block.col_begin;
      for_each_vector(block.cols(), [&](auto, auto store_at) HWY_ATTR { store_at(constant(value), to); });
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(add_block);
HWY_EXPORT(scale_block);
HWY_EXPORT(cast_block);
HWY_EXPORT(fill_block);

void add(Context& context, const Tensor& a, const Tensor& b, Tensor& c) {
  parallel_elements(
      context,
      [&](const Block& block) {
        HWY_DYNAMIC_DISPATCH(add_block)
        (a, b, c, block);
      },
      a, b, c);
}

void scale(Context& context, Tensor& x, double factor) {
  parallel_elements(
      context,
      [&](const Block& block) {
        HWY_DYNAMIC_DISPATCH(scale_block)
        (x, static_cast<float>(factor), block);
      },
      x);
}

void cast(Context& context, const Tensor& x, Tensor& y) {
  parallel_elements(
      context,
      [&](const Block& block) {
        HWY_DYNAMIC_DISPATCH(cast_block)
        (x, y, block);
      },
      x, y);
}

void fill(Context& context, Tensor& x, double value) {
  parallel_elements(
      context,
      [&](const Block& block) {
        HWY_DYNAMIC_DISPATCH(fill_block)
        (x, static_cast<float>(value), block);
      },
      x);
}

}  // namespace trireme::ops::cpu
#endif
