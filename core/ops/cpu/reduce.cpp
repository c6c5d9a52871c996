#include "core/ops/cpu/reduce.h"

#include <numeric>
#include <vector>

#include "core/ops/cpu/column_partials.h"
#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/reduce.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// Sum of values or of squares of one row's part: float32 products are exact in double.
template <class T>
double sum_row(const T* values, int64_t length, bool squares) {
  const hn::ScalableTag<double> d;
  const hn::Rebind<float, decltype(d)> half;
  const auto step = static_cast<int64_t>(hn::Lanes(d));
  auto even = hn::Zero(d), odd = hn::Zero(d);
  const auto wide = [&](const T* from) HWY_ATTR {
    if constexpr (std::is_same_v<T, float>) {
      return hn::PromoteTo(d, hn::LoadU(half, from));
    } else {
      const auto bits =
          hn::LoadU(hn::Rebind<uint16_t, decltype(d)>(), reinterpret_cast<const uint16_t*>(from));
      const auto words = hn::PromoteTo(hn::Rebind<uint32_t, decltype(d)>(), bits);
      if constexpr (std::is_same_v<T, bfloat16>) {
        return hn::PromoteTo(d, hn::BitCast(half, hn::ShiftLeft<16>(words)));
      } else {
        return hn::PromoteTo(d, from_half(half, words));
      }
    }
  };
  int64_t i = 0;
  for (; i + 2 * step <= length; i += 2 * step) {
    const auto a = wide(values + i), b = wide(values + i + step);
    even = squares ? hn::MulAdd(a, a, even) : hn::Add(a, even);
    odd = squares ? hn::MulAdd(b, b, odd) : hn::Add(b, odd);
  }
  double total = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < length; ++i) {
    const double value = static_cast<float>(values[i]);
    total += squares ? value * value : value;
  }
  return total;
}

double sum_part(const Tensor& x, const Block& block, bool squares) {
  double total = 0.0;
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i)
      total += sum_row(x.row<T>(i) + block.col_begin, block.cols(), squares);
  });
  return total;
}

/// An exponent of ones: infinity or not a number.
int64_t count_part(const Tensor& x, const Block& block) {
  int64_t count = 0;
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    const BitsTag d;
    const auto exponent = hn::Set(d, 0x7F800000u);
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* values = x.row<T>(i) + block.col_begin;
      for_each_vector(block.cols(), [&](auto load_at, auto) HWY_ATTR {
        const auto bits = hn::BitCast(d, load_at(values));
        count += static_cast<int64_t>(hn::CountTrue(d, hn::Eq(hn::And(bits, exponent), exponent)));
      });
    }
  });
  return count;
}

/// partial[j] = sum over the block's rows of x[., j].
void column_sum_part(const Tensor& x, const Block& block, float* partial) {
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    std::memset(partial, 0, static_cast<size_t>(block.cols()) * sizeof(float));
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      const T* values = x.row<T>(i) + block.col_begin;
      for_each_vector(block.cols(), [&](auto load_at, auto store_at) HWY_ATTR {
        store_at(hn::Add(load_at(partial), load_at(values)), partial);
      });
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {
namespace {

HWY_EXPORT(sum_part);
HWY_EXPORT(count_part);
HWY_EXPORT(column_sum_part);

constexpr int64_t kChunk = 32768;  // elements of one partial sum

/// The sum of part(block) over chunks that depend on the tensor's shape alone, added in their order.
template <class Result, class Part>
Result sum_of_parts(const Context& context, const Tensor& x, Part part) {
  const bool flat = x.is_contiguous();
  const int64_t rows = flat ? 1 : x.rows(), cols = flat ? x.num_elements() : x.cols();
  const int64_t extent = flat ? cols : rows;
  const int64_t step = flat ? kChunk : std::max<int64_t>(1, kChunk / std::max<int64_t>(cols, 1));
  std::vector<Result> partial(static_cast<size_t>((extent + step - 1) / step));
  parallel_ranges(context, static_cast<int64_t>(partial.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t first = chunk * step, last = std::min(extent, first + step);
      partial[static_cast<size_t>(chunk)] =
          part(flat ? Block{0, 1, first, last} : Block{first, last, 0, cols});
    }
  });
  return std::accumulate(partial.begin(), partial.end(), Result{0});
}

}  // namespace

double sum(Context& context, const Tensor& x) {
  return sum_of_parts<double>(
      context, x, [&](const Block& block) { return HWY_DYNAMIC_DISPATCH(sum_part)(x, block, false); });
}

double sum_of_squares(Context& context, const Tensor& x) {
  return sum_of_parts<double>(
      context, x, [&](const Block& block) { return HWY_DYNAMIC_DISPATCH(sum_part)(x, block, true); });
}

int64_t count_non_finite(Context& context, const Tensor& x) {
  return sum_of_parts<int64_t>(
      context, x, [&](const Block& block) { return HWY_DYNAMIC_DISPATCH(count_part)(x, block); });
}

void column_sum(Context& context, const Tensor& x, Tensor& out, bool accumulate) {
  ColumnPartials partials(context, x.rows(), x.cols(), 1);
  partials.for_each_part([&](int64_t begin, int64_t end, float* partial) {
    HWY_DYNAMIC_DISPATCH(column_sum_part)(x, Block{begin, end, 0, x.cols()}, partial);
  });
  partials.add_up(0, out, accumulate);
}

}  // namespace trireme::ops::cpu
#endif
