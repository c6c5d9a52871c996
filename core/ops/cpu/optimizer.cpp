#include "core/ops/cpu/optimizer.h"

#include <cmath>

#include "core/ops/cpu/parallel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/ops/cpu/optimizer.cpp"
#include <hwy/foreach_target.h>

#include "core/ops/cpu/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace trireme::ops::cpu::HWY_NAMESPACE {

/// Calls body(copy) with copy(vector, store_at) writing the low-precision weights, or nothing.
template <class Body>
HWY_INLINE void with_copy(Tensor* low_precision, int64_t begin, Body&& body) {
  if (low_precision == nullptr) return body([](Floats, auto) HWY_ATTR {});
  dispatch_storage(low_precision->dtype(), [&]<class T>(T) HWY_ATTR {
    T* to = low_precision->data<T>() + begin;
    body([to](Floats value, auto store_at) HWY_ATTR { store_at(value, to); });
  });
}

void adam_range(const AdamOptions& options, Tensor& weights, const Tensor& gradient, Tensor& first_moment,
                Tensor& second_moment, Tensor* low_precision, int64_t begin, int64_t end) {
  const double step = static_cast<double>(options.step);
  const double correction1 = options.bias_correction ? 1.0 - std::pow(options.beta1, step) : 1.0;
  const double correction2 = options.bias_correction ? 1.0 - std::pow(options.beta2, step) : 1.0;
  const bool decoupled = options.decoupled_weight_decay;
  const Floats keep = constant(static_cast<float>(decoupled ? 1.0 - options.lr * options.weight_decay : 1.0));
  const Floats pull = constant(static_cast<float>(decoupled ? 0.0 : options.weight_decay));
  const Floats scale = constant(static_cast<float>(options.gradient_scale));
  const Floats beta1 = constant(static_cast<float>(options.beta1));
  const Floats beta2 = constant(static_cast<float>(options.beta2));
  const Floats rest1 = constant(static_cast<float>(1.0 - options.beta1));
  const Floats rest2 = constant(static_cast<float>(1.0 - options.beta2));
  const Floats rate = constant(static_cast<float>(options.lr / correction1));
  const Floats root_scale = constant(static_cast<float>(1.0 / std::sqrt(correction2)));
  const Floats eps = constant(static_cast<float>(options.eps));
  float* w = weights.data<float>() + begin;
  const float* g = gradient.data<float>() + begin;
  float* m = first_moment.data<float>() + begin;
  float* v = second_moment.data<float>() + begin;
  with_copy(low_precision, begin, [&](auto copy) HWY_ATTR {
    for_each_vector(end - begin, [&](auto load_at, auto store_at) HWY_ATTR {
      const Floats weight = load_at(w);
      const Floats slope = hn::MulAdd(load_at(g), scale, hn::Mul(weight, pull));
      const Floats moment1 = hn::MulAdd(load_at(m), beta1, hn::Mul(slope, rest1));
      const Floats moment2 = hn::MulAdd(load_at(v), beta2, hn::Mul(hn::Mul(slope, rest2), slope));
      const Floats denominator = hn::MulAdd(hn::Sqrt(moment2), root_scale, eps);
      const Floats change = hn::Div(hn::Mul(moment1, rate), denominator);
      const Floats updated = hn::Sub(hn::Mul(weight, keep), change);
      store_at(moment1, m);
      store_at(moment2, v);
      store_at(updated, w);
      copy(updated, store_at);
    });
  });
}

void sgd_range(const SgdOptions& options, Tensor& weights, const Tensor& gradient, Tensor* momentum_buffer,
               Tensor* low_precision, int64_t begin, int64_t end) {
  const Floats decay = constant(static_cast<float>(options.weight_decay));
  const Floats scale = constant(static_cast<float>(options.gradient_scale));
  const Floats momentum = constant(static_cast<float>(options.momentum));
  const Floats rate = constant(static_cast<float>(options.lr));
  float* w = weights.data<float>() + begin;
  const float* g = gradient.data<float>() + begin;
  float* buffer = momentum_buffer != nullptr ? momentum_buffer->data<float>() + begin : nullptr;
  with_copy(low_precision, begin, [&](auto copy) HWY_ATTR {
    for_each_vector(end - begin, [&](auto load_at, auto store_at) HWY_ATTR {
      const Floats weight = load_at(w);
      Floats direction = hn::MulAdd(load_at(g), scale, hn::Mul(weight, decay));
      if (buffer != nullptr) {
        const Floats moved = options.step == 1 ? direction : hn::MulAdd(load_at(buffer), momentum, direction);
        store_at(moved, buffer);
        direction = options.nesterov ? hn::MulAdd(moved, momentum, direction) : moved;
      }
      const Floats updated = hn::NegMulAdd(direction, rate, weight);
      store_at(updated, w);
      copy(updated, store_at);
    });
  });
}

void adagrad_range(const AdagradOptions& options, Tensor& weights, const Tensor& gradient, Tensor& sum,
                   Tensor* low_precision, int64_t begin, int64_t end) {
  const Floats pull = constant(static_cast<float>(options.weight_decay));
  const Floats scale = constant(static_cast<float>(options.gradient_scale));
  const Floats rate = constant(static_cast<float>(options.lr));
  const Floats eps = constant(static_cast<float>(options.eps));
  float* w = weights.data<float>() + begin;
  const float* g = gradient.data<float>() + begin;
  float* s = sum.data<float>() + begin;
  with_copy(low_precision, begin, [&](auto copy) HWY_ATTR {
    for_each_vector(end - begin, [&](auto load_at, auto store_at) HWY_ATTR {
      const Floats weight = load_at(w);
      const Floats slope = hn::MulAdd(load_at(g), scale, hn::Mul(weight, pull));
      const Floats total = hn::MulAdd(slope, slope, load_at(s));
      const Floats direction = hn::Div(slope, hn::Add(hn::Sqrt(total), eps));
      const Floats updated = hn::NegMulAdd(direction, rate, weight);
      store_at(total, s);
      store_at(updated, w);
      copy(updated, store_at);
    });
  });
}

void rmsprop_range(const RmsPropOptions& options, Tensor& weights, const Tensor& gradient,
                   Tensor& square_average, Tensor* gradient_average, Tensor* momentum_buffer,
                   Tensor* low_precision, int64_t begin, int64_t end) {
  const Floats pull = constant(static_cast<float>(options.weight_decay));
  const Floats scale = constant(static_cast<float>(options.gradient_scale));
  const Floats alpha = constant(static_cast<float>(options.alpha));
  const Floats rest = constant(static_cast<float>(1.0 - options.alpha));
  const Floats momentum = constant(static_cast<float>(options.momentum));
  const Floats rate = constant(static_cast<float>(options.lr));
  const Floats eps = constant(static_cast<float>(options.eps));
  const auto part = [begin](Tensor* tensor) {
    return tensor != nullptr ? tensor->data<float>() + begin : nullptr;
  };
  float* w = part(&weights);
  const float* g = gradient.data<float>() + begin;
  float* squares = part(&square_average);
  float* means = part(gradient_average);
  float* buffer = part(momentum_buffer);
  with_copy(low_precision, begin, [&](auto copy) HWY_ATTR {
    for_each_vector(end - begin, [&](auto load_at, auto store_at) HWY_ATTR {
      const Floats weight = load_at(w);
      const Floats slope = hn::MulAdd(load_at(g), scale, hn::Mul(weight, pull));
      const Floats square = hn::MulAdd(load_at(squares), alpha, hn::Mul(hn::Mul(slope, rest), slope));
      store_at(square, squares);
      Floats spread = square;
      if (means != nullptr) {
        const Floats mean = hn::MulAdd(load_at(means), alpha, hn::Mul(slope, rest));
        store_at(mean, means);
        spread = hn::Max(zero(), hn::NegMulAdd(mean, mean, square));
      }
      Floats direction = hn::Div(slope, hn::Add(hn::Sqrt(spread), eps));
      if (buffer != nullptr) {
        direction = hn::MulAdd(load_at(buffer), momentum, direction);
        store_at(direction, buffer);
      }
      const Floats updated = hn::NegMulAdd(direction, rate, weight);
      store_at(updated, w);
      copy(updated, store_at);
    });
  });
}

void moving_average_range(double decay, const Tensor& weights, Tensor& average, int64_t begin, int64_t end) {
  const Floats rest = constant(static_cast<float>(1.0 - decay));
  const float* w = weights.data<float>() + begin;
  float* a = average.data<float>() + begin;
  for_each_vector(end - begin, [&](auto load_at, auto store_at) HWY_ATTR {
    const Floats old = load_at(a);
    store_at(hn::MulAdd(hn::Sub(load_at(w), old), rest, old), a);
  });
}

}  // namespace trireme::ops::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace trireme::ops::cpu {

HWY_EXPORT(adam_range);
HWY_EXPORT(sgd_range);
HWY_EXPORT(adagrad_range);
HWY_EXPORT(rmsprop_range);
HWY_EXPORT(moving_average_range);

void adam(Context& context, const AdamOptions& options, Tensor& weights, const Tensor& gradient,
          Tensor& first_moment, Tensor& second_moment, Tensor* low_precision) {
  parallel_ranges(context, weights.num_elements(), kElementsPerThread, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(adam_range)
    (options, weights, gradient, first_moment, second_moment, low_precision, begin, end);
  });
}

void sgd(Context& context, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision) {
  parallel_ranges(context, weights.num_elements(), kElementsPerThread, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(sgd_range)
    (options, weights, gradient, momentum_buffer, low_precision, begin, end);
  });
}

void adagrad(Context& context, const AdagradOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& sum, Tensor* low_precision) {
  parallel_ranges(context, weights.num_elements(), kElementsPerThread, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(adagrad_range)(options, weights, gradient, sum, low_precision, begin, end);
  });
}

void rmsprop(Context& context, const RmsPropOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& square_average, Tensor* gradient_average, Tensor* momentum_buffer,
             Tensor* low_precision) {
  parallel_ranges(context, weights.num_elements(), kElementsPerThread, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(rmsprop_range)
    (options, weights, gradient, square_average, gradient_average, momentum_buffer, low_precision, begin,
     end);
  });
}

void moving_average(Context& context, double decay, const Tensor& weights, Tensor& average) {
  parallel_ranges(context, weights.num_elements(), kElementsPerThread, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(moving_average_range)(decay, weights, average, begin, end);
  });
}

}  // namespace trireme::ops::cpu
#endif
