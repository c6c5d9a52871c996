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

void adam(Context&, const AdamOptions& options, Tensor& weights, const Tensor& gradient, Tensor& first_moment,
          Tensor& second_moment, Tensor* low_precision) {
  dispatch_floating(weights.dtype(), [&]<class T>(T) {
    const double step = static_cast<double>(options.step);
    const double correction1 = options.bias_correction ? 1.0 - std::pow(options.beta1, step) : 1.0;
    const double correction2 = options.bias_correction ? 1.0 - std::pow(options.beta2, step) : 1.0;
    for (int64_t i = 0; i < weights.num_elements(); ++i) {
      const double before = load(weights.data<T>()[i]);
      double g = load(gradient.data<T>()[i]) * options.gradient_scale;
      double decayed = before;
      if (options.decoupled_weight_decay)
        decayed *= 1.0 - options.lr * options.weight_decay;
      else
        g += options.weight_decay * before;
      const double m = options.beta1 * load(first_moment.data<T>()[i]) + (1.0 - options.beta1) * g;
      const double v = options.beta2 * load(second_moment.data<T>()[i]) + (1.0 - options.beta2) * g * g;
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

void adagrad(Context&, const AdagradOptions& options, Tensor& weights, const Tensor& gradient, Tensor& sum,
             Tensor* low_precision) {
  dispatch_floating(weights.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < weights.num_elements(); ++i) {
      const double w = load(weights.data<T>()[i]);
      const double g = load(gradient.data<T>()[i]) * options.gradient_scale + options.weight_decay * w;
      const double total = load(sum.data<T>()[i]) + g * g;
      store(sum.data<T>()[i], total);
      store(weights.data<T>()[i], w - options.lr * g / (std::sqrt(total) + options.eps));
      store_low_precision(low_precision, i, load(weights.data<T>()[i]));
    }
  });
}

void rmsprop(Context&, const RmsPropOptions& options, Tensor& weights, const Tensor& gradient,
             Tensor& square_average, Tensor* gradient_average, Tensor* momentum_buffer,
             Tensor* low_precision) {
  dispatch_floating(weights.dtype(), [&]<class T>(T) {
    const auto average = [&](T& old, double value) {
      const double updated = options.alpha * load(old) + (1.0 - options.alpha) * value;
      store(old, updated);
      return updated;
    };
    for (int64_t i = 0; i < weights.num_elements(); ++i) {
      const double w = load(weights.data<T>()[i]);
      const double g = load(gradient.data<T>()[i]) * options.gradient_scale + options.weight_decay * w;
      double spread = average(square_average.data<T>()[i], g * g);
      if (gradient_average != nullptr) {
        const double mean = average(gradient_average->data<T>()[i], g);
        spread = std::fmax(0.0, spread - mean * mean);
      }
      double direction = g / (std::sqrt(spread) + options.eps);
      if (momentum_buffer != nullptr) {
        T& buffer = momentum_buffer->data<T>()[i];
        direction += options.momentum * load(buffer);
        store(buffer, direction);
      }
      store(weights.data<T>()[i], w - options.lr * direction);
      store_low_precision(low_precision, i, load(weights.data<T>()[i]));
    }
  });
}

void moving_average(Context&, double decay, const Tensor& weights, Tensor& average) {
  dispatch_floating(weights.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < weights.num_elements(); ++i) {
      T& value = average.data<T>()[i];
      store(value, decay * load(value) + (1.0 - decay) * load(weights.data<T>()[i]));
    }
  });
}

}  // namespace trireme::ops::reference
