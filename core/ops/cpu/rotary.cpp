#include "core/ops/cpu/rotary.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/rotary.cpp"
#include <hwy/foreach_target.h>

// What the targets share is compiled once.
#ifndef TRIREME_CORE_OPS_CPU_ROTARY_ANGLES
#define TRIREME_CORE_OPS_CPU_ROTARY_ANGLES
namespace trireme::ops::cpu {

/// cos and sin of position * frequency for positions in [first, last], in double. A table of all of them
/// would cost more than the rotation itself, so position = first + coarse * stride + fine, with a table of
/// about the square root of the range for each part, and the sum of two angles is one complex product.
class RotaryAngles {
 public:
  RotaryAngles(const RotaryOptions& options, bool inverse, int64_t first, int64_t last)
      : num_pairs_(options.head_dim / 2),
        first_(first),
        stride_(static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(last - first + 1))))) {
    std::vector<double> frequencies(static_cast<size_t>(num_pairs_));
    for (int64_t pair = 0; pair < num_pairs_; ++pair)
      frequencies[static_cast<size_t>(pair)] =
          (inverse ? -1.0 : 1.0) *
          std::pow(options.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(options.head_dim));
    for (int64_t fine = 0; fine < stride_; ++fine) append(fine_, frequencies, fine);
    for (int64_t position = first; position <= last; position += stride_)
      append(coarse_, frequencies, position);
  }

  int64_t num_pairs() const { return num_pairs_; }
  /// num_pairs cosines, then num_pairs sines, whose product with fine()'s is the angle of `position`.
  const double* coarse(int64_t position) const { return at(coarse_, (position - first_) / stride_); }
  const double* fine(int64_t position) const { return at(fine_, (position - first_) % stride_); }

 private:
  static void append(std::vector<double>& table, const std::vector<double>& frequencies, int64_t position) {
    for (const double frequency : frequencies)
      table.push_back(std::cos(static_cast<double>(position) * frequency));
    for (const double frequency : frequencies)
      table.push_back(std::sin(static_cast<double>(position) * frequency));
  }
  const double* at(const std::vector<double>& table, int64_t index) const {
    return table.data() + index * 2 * num_pairs_;
  }

  int64_t num_pairs_, first_, stride_;
  std::vector<double> fine_, coarse_;
};

}  // namespace trireme::ops::cpu
#endif

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// cosines and sines [num_pairs] of one position.
HWY_INLINE void angles_of(const RotaryAngles& angles, int64_t position, float* cosines, float* sines) {
  const int64_t n = angles.num_pairs();
  const double* a = angles.coarse(position);
  const double* b = angles.fine(position);
  for (int64_t i = 0; i < n; ++i) {
    cosines[i] = static_cast<float>(a[i] * b[i] - a[n + i] * b[n + i]);
    sines[i] = static_cast<float>(a[n + i] * b[i] + a[i] * b[n + i]);
  }
}

/// Pairs (i, i + K/2).
template <class T>
HWY_INLINE void rotate_halves(T* head, int64_t num_pairs, const float* cosines, const float* sines) {
  T* upper = head + num_pairs;
  for_each_vector(num_pairs, [&](auto load_at, auto store_at) HWY_ATTR {
    const Floats a = load_at(head), b = load_at(upper), c = load_at(cosines), s = load_at(sines);
    store_at(hn::NegMulAdd(b, s, hn::Mul(a, c)), head);
    store_at(hn::MulAdd(a, s, hn::Mul(b, c)), upper);
  });
}

/// Pairs (2i, 2i + 1); both tables hold every value twice, the sines with signs -, +.
template <class T>
HWY_INLINE void rotate_neighbours(T* head, int64_t head_dim, const float* cosines, const float* sines) {
#if HWY_TARGET == HWY_SCALAR  // one lane has no neighbour
  for (int64_t i = 0; i < head_dim; i += 2) {
    const Floats a = load(head + i), b = load(head + i + 1), c = load(cosines + i), s = load(sines + i + 1);
    store(hn::NegMulAdd(b, s, hn::Mul(a, c)), head + i);
    store(hn::MulAdd(a, s, hn::Mul(b, c)), head + i + 1);
  }
#else
  for_each_vector(head_dim, [&](auto load_at, auto store_at) HWY_ATTR {
    const Floats x = load_at(head);
    store_at(hn::MulAdd(hn::Shuffle2301(x), load_at(sines), hn::Mul(x, load_at(cosines))), head);
  });
#endif
}

void rotary_rows(const RotaryOptions& options, const RotaryAngles& angles, const Tensor& positions, Tensor& x,
                 const Block& block) {
  const int64_t num_pairs = angles.num_pairs();
  std::vector<float> table(static_cast<size_t>(4 * options.head_dim));
  float* cosines = table.data();
  float* sines = cosines + options.head_dim;
  float* wide_cosines = sines + options.head_dim;
  float* wide_sines = wide_cosines + options.head_dim;
  dispatch_storage(x.dtype(), [&]<class T>(T) HWY_ATTR {
    for (int64_t i = block.row_begin; i < block.row_end; ++i) {
      angles_of(angles, positions.row<int32_t>(i / positions.cols())[i % positions.cols()], cosines, sines);
      if (options.interleaved)
        for (int64_t pair = 0; pair < num_pairs; ++pair) {
          wide_cosines[2 * pair] = wide_cosines[2 * pair + 1] = cosines[pair];
          wide_sines[2 * pair] = -sines[pair];
          wide_sines[2 * pair + 1] = sines[pair];
        }
      for (int64_t head = 0; head < options.num_heads; ++head) {
        T* values = x.row<T>(i) + head * options.head_dim;
        if (options.interleaved) {
          rotate_neighbours(values, options.head_dim, wide_cosines, wide_sines);
        } else {
          rotate_halves(values, num_pairs, cosines, sines);
        }
      }
    }
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(rotary_rows);

void rotary(Context& context, const RotaryOptions& options, const Tensor& positions, Tensor& x,
            bool inverse) {
  if (x.rows() == 0) return;
  int64_t first = positions.data<int32_t>()[0], last = first;
  for (int64_t i = 0; i < positions.rows(); ++i) {
    const int32_t* row = positions.row<int32_t>(i);
    const auto [low, high] = std::minmax_element(row, row + positions.cols());
    first = std::min<int64_t>(first, *low);
    last = std::max<int64_t>(last, *high);
  }
  const RotaryAngles angles(options, inverse, first, last);
  parallel_rows(context, x.rows(), x.cols(), [&](const Block& block) {
    HWY_DYNAMIC_DISPATCH(rotary_rows)(options, angles, positions, x, block);
  });
}

}  // namespace trireme::ops::cpu
#endif
