#include "core/ops/reference/optimizer.h"

#include <cmath>

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {
namespace {

void store_low_precision(Tensor* low_precision, int64_t index, double value) {
  if (low_precision == nullptr) return;
  dispatch_floating(low_precision->dtype(),
                    [&]<class T>(T) { store(low_precision->data<T>()[index], value); });
}

}  // namespace

void adamw(Context&, const AdamWOptions& options, Tensor& weights, const Tensor& gradient,
           Tensor& first_moment, Tensor& second_moment, Tensor* low_precision) {
  dispatch_floating(weights.dtype(), [&]<class T>(T) {
    const double step = static_cast<double>(options.step);
    const double correction1 = 1.0 - std::pow(options.beta1, step);
    const double correction2 = 1.0 - std::pow(options.beta2, step);
    for (int64_t i = 0; i < weights.num_elements(); ++i) {
      const double g = load(gradient.data<T>()[i]) * options.gradient_scale;
      const double m = options.beta1 * load(first_moment.data<T>()[i]) + (1.0 - options.beta1) * g;
      const double v = options.beta2 * load(second_moment.data<T>()[i]) + (1.0 - options.beta2) * g * g;
      const double decayed = load(weights.data<T>()[i]) * (1.0 - options.lr * options.weight_decay);
      const double w = decayed - options.lr * (m / correction1) / (std::sqrt(v / correction2) + options.eps);
      store(first_moment.data<T>()[i], m);
      store(second_moment.data<T>()[i], v);
      store(weights.data<T>()[i], w);
      store_low_precision(low_precision, i, load(weights.data<T>()[i]));
    }
  });
}

void sgd(Context&, const SgdOptions& options, Tensor& weights, const Tensor& gradient,
         Tensor* momentum_buffer, Tensor* low_precision) {
  dispatch_floating(weights.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < weights.num_elements(); ++i) {
      const double w = load(weights.data<T>()[i]);
      const double g = load(gradient.data<T>()[i]) * options.gradient_scale + options.weight_decay * w;
      double direction = g;
      if (momentum_buffer != nullptr) {
        T& buffer = momentum_buffer->data<T>()[i];
        const double moved = options.step == 1 ? g : options.momentum * load(buffer) + g;
        store(buffer, moved);
        direction = options.nesterov ? g + options.momentum * moved : moved;
      }
      store(weights.data<T>()[i], w - options.lr * direction);
      store_low_precision(low_precision, i, load(weights.data<T>()[i]));
    }
  });
}

}  // namespace trireme::ops::reference
