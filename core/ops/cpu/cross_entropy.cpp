#include "core/ops/cpu/cross_entropy.h"

#include <cmath>
#include <limits>

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// Maximum and sum of exp(logit - maximum) of one row.
template <class T>
void row_statistics(const T* row, int64_t cols, float& maximum, float& sum) {
  const FloatTag d;
  const int64_t step = lanes(), whole = cols / step * step;
  const auto in_rest = hn::FirstN(d, static_cast<size_t>(cols - whole));
  const Floats rest = whole < cols ? load_part(row + whole, cols - whole) : zero();

  Floats largest = constant(-std::numeric_limits<float>::infinity());
  for (int64_t col = 0; col < whole; col += step) largest = hn::Max(largest, load(row + col));
  maximum = max_of_lanes(hn::Max(largest, hn::IfThenElse(in_rest, rest, largest)));

  const Floats shift = constant(maximum);
  Floats total = zero();
  for (int64_t col = 0; col < whole; col += step)
    total = hn::Add(total, exp(hn::Sub(load(row + col), shift)));
  total = hn::Add(total, hn::IfThenElseZero(in_rest, exp(hn::Sub(rest, shift))));
  sum = sum_of_lanes(total);
  if (maximum == -std::numeric_limits<float>::infinity() && !std::isnan(static_cast<float>(row[0])))
    sum = 0.0f;
}

void statistics_of_row(const Tensor& logits, int64_t row, float& maximum, float& sum) {
  dispatch_storage(logits.dtype(), [&]<class T>(T) HWY_ATTR {
    row_statistics(logits.row<T>(row), logits.cols(), maximum, sum);
  });
}

/// row = factor * exp(row - shift), and `scale` less at the target (none: negative).
template <class T>
void row_gradient(T* row, int64_t cols, float shift, float factor, float scale, int64_t target) {
  float at_target = 0.0f;
  if (target >= 0) at_target = factor * std::exp(static_cast<float>(row[target]) - shift) - scale;
  for_each_vector(cols, [&](auto load_at, auto store_at) HWY_ATTR {
    store_at(hn::Mul(constant(factor), exp(hn::Sub(load_at(row), constant(shift)))), row);
  });
  if (target >= 0) row[target] = T(at_target);
}

void gradient_of_row(Tensor& logits, int64_t row, float shift, float factor, float scale, int64_t target) {
  dispatch_storage(logits.dtype(), [&]<class T>(T) HWY_ATTR {
    row_gradient(logits.row<T>(row), logits.cols(), shift, factor, scale, target);
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(statistics_of_row);
HWY_EXPORT(gradient_of_row);

namespace {

float element(const Tensor& logits, int64_t row, int64_t col) {
  return dispatch_floating(logits.dtype(),
                           [&]<class T>(T) { return static_cast<float>(logits.row<T>(row)[col]); });
}

void clear_row(Tensor& logits, int64_t row) {
  const int64_t bytes = size_of(logits.dtype());
  std::memset(logits.raw() + row * logits.row_stride() * bytes, 0,
              static_cast<size_t>(logits.cols() * bytes));
}

/// Splits rows over the threads; a row is never split.
template <class Body>
void parallel_rows(Context& context, const Tensor& logits, Body&& body) {
  const int64_t grain = std::max<int64_t>(1, 8192 / logits.cols());
  parallel_ranges(context, logits.rows(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

}  // namespace

void softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                           const double* gradient_scale) {
  parallel_rows(context, logits, [&](int64_t row) {
    const int32_t target = targets.data<int32_t>()[row];
    if (target == kIgnoredTarget) {
      losses.data<float>()[row] = 0.0f;
      if (gradient_scale != nullptr) clear_row(logits, row);
      return;
    }
    float maximum = 0, sum = 0;
    HWY_DYNAMIC_DISPATCH(statistics_of_row)(logits, row, maximum, sum);
    losses.data<float>()[row] = (maximum - element(logits, row, target)) + std::log(sum);
    if (gradient_scale != nullptr) {
      const float scale = static_cast<float>(*gradient_scale);
      HWY_DYNAMIC_DISPATCH(gradient_of_row)(logits, row, maximum, scale / sum, scale, target);
    }
  });
}

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit) {
  parallel_rows(context, logits, [&](int64_t row) {
    HWY_DYNAMIC_DISPATCH(statistics_of_row)
    (logits, row, maximum.data<float>()[row], exp_sum.data<float>()[row]);
    const int32_t target = targets.data<int32_t>()[row];
    const int64_t col = target - vocab_begin;
    const bool here = target != kIgnoredTarget && col >= 0 && col < logits.cols();
    target_logit.data<float>()[row] = here ? element(logits, row, col) : 0.0f;
  });
}

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale) {
  parallel_rows(context, logits, [&](int64_t row) {
    const int32_t target = targets.data<int32_t>()[row];
    if (target == kIgnoredTarget) return clear_row(logits, row);
    const int64_t col = target - vocab_begin;
    const bool here = col >= 0 && col < logits.cols();
    const float factor = static_cast<float>(scale);
    HWY_DYNAMIC_DISPATCH(gradient_of_row)
    (logits, row, log_sum_exp.data<float>()[row], factor, factor, here ? col : -1);
  });
}

}  // namespace trireme::ops::cpu
#endif
