#include "core/ops/cpu/dropout.h"

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/dropout.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/philox-inl.h"
#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

void dropout_rows(const DropoutOptions& options, const Tensor& x, const Tensor* residual, Tensor& y,
                  const Block& block) {
  const BitsTag bits_tag;
  const auto threshold = hn::Set(bits_tag, dropout_threshold(options.probability));
  const Floats scale = constant(static_cast<float>(1.0 / (1.0 - options.probability)));
  const int64_t length = options.positions.cols(), cols = block.cols(), step = lanes();
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    uint32_t words[4 * kMaxLanes];
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const RandomCounter counter = activation_counter(options.sample_ids.data<int64_t>()[i / length],
                                                       options.positions.row<int32_t>(i / length)[i % length],
                                                       options.feature_offset / 4);
      // One batch of random words covers the next 4 * lanes() features.
      for (int64_t begin = 0; begin < cols; begin += 4 * step) {
        philox_blocks(options.key, counter, static_cast<uint32_t>(begin / 4), words);
        const T* from = x.row<T>(i) + begin;
        const T* base = residual != nullptr ? residual->row<T>(i) + begin : nullptr;
        T* to = y.row<T>(i) + begin;
        const uint32_t* next_words = words;
        for_each_vector(std::min(cols - begin, 4 * step), [&](auto load_at, auto store_at) HWY_ATTR {
          const auto bits = hn::LoadU(bits_tag, next_words);
          next_words += step;
          const auto kept = hn::RebindMask(FloatTag(), hn::Eq(hn::Max(bits, threshold), bits));
          const Floats value = hn::IfThenElseZero(kept, hn::Mul(load_at(from), scale));
          store_at(base != nullptr ? hn::Add(value, load_at(base)) : value, to);
        });
      }
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(dropout_rows);

void dropout(Context& context, const DropoutOptions& options, const Tensor& x, const Tensor* residual,
             Tensor& y) {
  parallel_rows(context, x.rows(), x.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(dropout_rows)(options, x, residual, y, block);
  });
}

}  // namespace trireme::ops::cpu
#endif
