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

Tensor activate(Context& context, ops::Activation kind, const Tensor& x) {
  Tensor y = context.activation(x.shape(), x.dtype());
  ops::activation_forward(context, kind, x, y);
  return y;
}

Tensor gate(Context& context, const Tensor& gate_up) {
  Shape shape = gate_up.shape();
  shape.back() /= 2;
  Tensor y = context.activation(std::move(shape), gate_up.dtype());
  ops::swiglu_forward(context, gate_up, y);
  return y;
}

/// Records `function`, which keeps what `recipe` needs.
Variable recorded(Context& context, std::shared_ptr<Function> function, const Variable& x, Tensor y,
                  Recipe recipe) {
  Variable result = Function::record(context, std::move(function), {x}, {std::move(y)})[0];
  if (context.keep_recipes) result.set_recipe(std::move(recipe));
  return result;
}

}  // namespace

Variable activation(Context& context, ops::Activation kind, const Variable& x) {
  Tensor y = activate(context, kind, x.value());
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return recorded(context, std::make_shared<ActivationFunction>(kind, x.value()), x, std::move(y),
                  [kind, x = x.value()](Context& context) { return activate(context, kind, x); });
}

Variable swiglu(Context& context, const Variable& gate_up) {
  Tensor y = gate(context, gate_up.value());
  if (!Function::needed(context, {gate_up}, false)) return Variable(std::move(y));
  return recorded(context, std::make_shared<Swiglu>(gate_up.value()), gate_up, std::move(y),
                  [x = gate_up.value()](Context& context) { return gate(context, x); });
}

}  // namespace trireme
