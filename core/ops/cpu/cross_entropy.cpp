#include "core/ops/cpu/cross_entropy.h"

#include <atomic>
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

/// Sum of (shift - logit) over one row.
float distances_of_row(const Tensor& logits, int64_t row, float shift) {
  float sum = 0.0f;
  dispatch_storage(logits.dtype(), [&]<class T>(T) HWY_ATTR {
    const T* from = logits.row<T>(row);
    sum = sum_over(logits.cols(),
                   [&](auto load_at) HWY_ATTR { return hn::Sub(constant(shift), load_at(from)); });
  });
  return sum;
}

/// row = factor * exp(row - shift) - on_others, but on_target less at the target (none: negative).
template <class T>
void row_gradient(T* row, int64_t cols, float shift, float factor, float on_target, float on_others,
                  int64_t target) {
  float at_target = 0.0f;
  if (target >= 0) at_target = factor * std::exp(static_cast<float>(row[target]) - shift) - on_target;
  const auto scaled = [&](Floats logit) HWY_ATTR {
    return hn::Mul(constant(factor), exp(hn::Sub(logit, constant(shift))));
  };
  if (on_others == 0.0f) {
    for_each_vector(cols, [&](auto load_at, auto store_at) HWY_ATTR { store_at(scaled(load_at(row)), row); });
  } else {
    for_each_vector(cols, [&](auto load_at, auto store_at) HWY_ATTR {
      store_at(hn::Sub(scaled(load_at(row)), constant(on_others)), row);
    });
  }
  if (target >= 0) row[target] = T(at_target);
}

void gradient_of_row(Tensor& logits, int64_t row, float shift, float factor, float on_target, float on_others,
                     int64_t target) {
  dispatch_storage(logits.dtype(), [&]<class T>(T) HWY_ATTR {
    row_gradient(logits.row<T>(row), logits.cols(), shift, factor, on_target, on_others, target);
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(statistics_of_row);
HWY_EXPORT(distances_of_row);
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

int64_t softmax_cross_entropy(Context& context, Tensor& logits, const Tensor& targets, Tensor& losses,
                              const double* gradient_scale, const TargetDistribution& q) {
  std::atomic<int64_t> num_right = 0;
  parallel_rows(context, logits, [&](int64_t row) {
    const int32_t target = targets.data<int32_t>()[row];
    if (target == kIgnoredTarget) {
      losses.data<float>()[row] = 0.0f;
      if (gradient_scale != nullptr) clear_row(logits, row);
      return;
    }
    float maximum = 0, sum = 0;
    HWY_DYNAMIC_DISPATCH(statistics_of_row)(logits, row, maximum, sum);
    const float below = maximum - element(logits, row, target);
    if (below <= 0.0f) num_right.fetch_add(1, std::memory_order_relaxed);
    losses.data<float>()[row] = below + std::log(sum);
    if (q.smoothed()) {
      const double others = HWY_DYNAMIC_DISPATCH(distances_of_row)(logits, row, maximum);
      losses.data<float>()[row] = static_cast<float>(
          (q.on_target - q.on_others) * below + q.on_others * others + std::log(double{sum}) - q.entropy);
    }
    if (gradient_scale != nullptr) HWY_DYNAMIC_DISPATCH(gradient_of_row)
    (logits, row, maximum, static_cast<float>(*gradient_scale) / sum,
     static_cast<float>(*gradient_scale * q.on_target), static_cast<float>(*gradient_scale * q.on_others),
     target);
  });
  return num_right;
}

void cross_entropy_statistics(Context& context, const Tensor& logits, const Tensor& targets,
                              int64_t vocab_begin, Tensor& maximum, Tensor& exp_sum, Tensor& target_logit,
                              Tensor* logit_sum) {
  parallel_rows(context, logits, [&](int64_t row) {
    HWY_DYNAMIC_DISPATCH(statistics_of_row)
    (logits, row, maximum.data<float>()[row], exp_sum.data<float>()[row]);
    const int32_t target = targets.data<int32_t>()[row];
    const int64_t col = target - vocab_begin;
    const bool here = target != kIgnoredTarget && col >= 0 && col < logits.cols();
    target_logit.data<float>()[row] = here ? element(logits, row, col) : 0.0f;
    if (logit_sum != nullptr)
      logit_sum->data<float>()[row] = -HWY_DYNAMIC_DISPATCH(distances_of_row)(logits, row, 0.0f);
  });
}

void cross_entropy_gradient(Context& context, Tensor& logits, const Tensor& targets, int64_t vocab_begin,
                            const Tensor& log_sum_exp, double scale, const TargetDistribution& q) {
  parallel_rows(context, logits, [&](int64_t row) {
    const int32_t target = targets.data<int32_t>()[row];
    if (target == kIgnoredTarget) return clear_row(logits, row);
    const int64_t col = target - vocab_begin;
    const bool here = col >= 0 && col < logits.cols();
    HWY_DYNAMIC_DISPATCH(gradient_of_row)
    (logits, row, log_sum_exp.data<float>()[row], static_cast<float>(scale),
     static_cast<float>(scale * q.on_target), static_cast<float>(scale * q.on_others), here ? col : -1);
  });
}

}  // namespace trireme::ops::cpu
#endif
