#include "core/autograd/functions/activation.h"

#include "core/autograd/functions/support.h"

namespace trireme {
namespace {

class ActivationFunction final : public Function {
 public:
  ActivationFunction(ops::Activation kind, Tensor x) : kind_(kind), x_(std::move(x)) {}
  const char* name() const override { return "activation"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_x = exclusive(d_outputs[0]) ? d_outputs[0] : context.activation(x_.shape(), x_.dtype());
    ops::activation_backward(context, kind_, d_outputs[0], x_, d_x);
    x_ = Tensor();
    return {std::move(d_x)};
  }

 private:
  ops::Activation kind_;
  Tensor x_;
};

class Swiglu final : public Function {
 public:
  explicit Swiglu(Tensor gate_up) : gate_up_(std::move(gate_up)) {}
  const char* name() const override { return "swiglu"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_gate_up = context.activation(gate_up_.shape(), gate_up_.dtype());
    ops::swiglu_backward(context, d_outputs[0], gate_up_, d_gate_up);
    gate_up_ = Tensor();
    return {std::move(d_gate_up)};
  }

 private:
  Tensor gate_up_;
};

}  // namespace

Variable activation(Context& context, ops::Activation kind, const Variable& x) {
  Tensor y = context.activation(x.value().shape(), x.value().dtype());
  ops::activation_forward(context, kind, x.value(), y);
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<ActivationFunction>(kind, x.value()), {x},
                          {std::move(y)})[0];
}

Variable swiglu(Context& context, const Variable& gate_up) {
  Shape shape = gate_up.value().shape();
  shape.back() /= 2;
  Tensor y = context.activation(std::move(shape), gate_up.value().dtype());
  ops::swiglu_forward(context, gate_up.value(), y);
  if (!Function::needed(context, {gate_up}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Swiglu>(gate_up.value()), {gate_up}, {std::move(y)})[0];
}

}  // namespace trireme
