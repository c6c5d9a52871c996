#include "core/ops/reference/activation.h"

#include <cmath>
#include <numbers>

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {
namespace {

constexpr double kCubic = 0.044715;
const double kRootTwoOverPi = std::sqrt(2.0 * std::numbers::inv_pi);
const double kRootHalf = std::sqrt(0.5);

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

double value(Activation activation, double x) {
  switch (activation) {
    case Activation::kGeluTanh:
      return 0.5 * x * (1.0 + std::tanh(kRootTwoOverPi * (x + kCubic * x * x * x)));
    case Activation::kGeluErf:
      return 0.5 * x * std::erfc(-x * kRootHalf);
    case Activation::kRelu:
      return x > 0.0 ? x : 0.0;
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kTanh:
      return std::tanh(x);
  }
  return 0.0;
}

double slope(Activation activation, double x) {
  switch (activation) {
    case Activation::kGeluTanh: {
      const double t = std::tanh(kRootTwoOverPi * (x + kCubic * x * x * x));
      return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * kRootTwoOverPi * (1.0 + 3.0 * kCubic * x * x);
    }
    case Activation::kGeluErf:
      return 0.5 * std::erfc(-x * kRootHalf) + x * std::exp(-0.5 * x * x) * 0.5 * kRootTwoOverPi;
    case Activation::kRelu:
      return x > 0.0 ? 1.0 : 0.0;
    case Activation::kSigmoid:
      return sigmoid(x) * sigmoid(-x);
    case Activation::kTanh:
      return 4.0 * sigmoid(2.0 * x) * sigmoid(-2.0 * x);
  }
  return 0.0;
}

}  // namespace

void activation_forward(Context&, Activation activation, const Tensor& x, Tensor& y) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < x.rows(); ++i)
      for (int64_t j = 0; j < x.cols(); ++j) store(y.row<T>(i)[j], value(activation, load(x.row<T>(i)[j])));
  });
}

void activation_backward(Context&, Activation activation, const Tensor& d_y, const Tensor& x, Tensor& d_x) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < x.rows(); ++i)
      for (int64_t j = 0; j < x.cols(); ++j)
        store(d_x.row<T>(i)[j], load(d_y.row<T>(i)[j]) * slope(activation, load(x.row<T>(i)[j])));
  });
}

void swiglu_forward(Context&, const Tensor& gate_up, Tensor& y) {
  dispatch_floating(y.dtype(), [&]<class T>(T) {
    const int64_t width = y.cols();
    for (int64_t i = 0; i < y.rows(); ++i)
      for (int64_t j = 0; j < width; ++j) {
        const double gate = load(gate_up.row<T>(i)[j]), up = load(gate_up.row<T>(i)[width + j]);
        store(y.row<T>(i)[j], gate * sigmoid(gate) * up);
      }
  });
}

/// silu'(g) = s + g s (1 - s) with s = sigmoid(g).
void swiglu_backward(Context&, const Tensor& d_y, const Tensor& gate_up, Tensor& d_gate_up) {
  dispatch_floating(d_y.dtype(), [&]<class T>(T) {
    const int64_t width = d_y.cols();
    for (int64_t i = 0; i < d_y.rows(); ++i)
      for (int64_t j = 0; j < width; ++j) {
        const double gate = load(gate_up.row<T>(i)[j]), up = load(gate_up.row<T>(i)[width + j]);
        const double gradient = load(d_y.row<T>(i)[j]), s = sigmoid(gate);
        store(d_gate_up.row<T>(i)[j], gradient * up * s * (1.0 + gate * (1.0 - s)));
        store(d_gate_up.row<T>(i)[width + j], gradient * gate * s);
      }
  });
}

}  // namespace trireme::ops::reference
