#include "core/autograd/functions/linear.h"

#include "core/autograd/functions/support.h"
#include "core/ops/gemm.h"
#include "core/ops/reduce.h"

namespace trireme {
namespace {

class Linear final : public Function {
 public:
  Linear(const Variable& x, Parameter& weight, Parameter* bias)
      : x_(x), needs_d_x_(x.requires_grad()), weight_(weight), bias_(bias) {
    weight.expect();
    if (bias != nullptr) bias->expect();
  }
  const char* name() const override { return "linear"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const Tensor d_y = as_matrix(d_outputs[0]);
    Shape shape = x_.shape();
    context.weight_gradients.push(
        context, [d_y, x = std::move(x_), &weight = weight_, bias = bias_](Context& context) {
          contribute_bias(context, bias, d_y);
          contribute_weight(context, weight, d_y, as_matrix(x.get(context)));
        });
    if (!needs_d_x_) return {Tensor()};
    Tensor d_x = context.activation(std::move(shape), d_y.dtype());
    Tensor matrix = as_matrix(d_x);
    ops::gemm(context, d_y, weight_.value, matrix);
    return {std::move(d_x)};
  }

 private:
  SavedValue x_;
  bool needs_d_x_;
  Parameter& weight_;
  Parameter* bias_;
};

}  // namespace

void contribute_weight(Context& context, Parameter& weight, const Tensor& d_y, const Tensor& x) {
  weight.contribute([&](Tensor& d_weight, bool accumulate) {
    ops::gemm(context, d_y, x, d_weight, {.transpose_a = true, .accumulate = accumulate});
  });
}

void contribute_bias(Context& context, Parameter* bias, const Tensor& d_y) {
  if (bias == nullptr) return;
  bias->contribute(
      [&](Tensor& d_bias, bool accumulate) { ops::column_sum(context, d_y, d_bias, accumulate); });
}

Variable linear(Context& context, const Variable& x, Parameter& weight, Parameter* bias) {
  Shape shape = x.value().shape();
  shape.back() = weight.shape[0];
  Tensor y = context.activation(std::move(shape), x.value().dtype());
  Tensor matrix = as_matrix(y);
  ops::gemm(context, as_matrix(x.value()), weight.value, matrix,
            {.transpose_b = true, .bias = bias == nullptr ? nullptr : &bias->value});
  if (!Function::needed(context, {x}, true)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Linear>(x, weight, bias), {x}, {std::move(y)})[0];
}

}  // namespace trireme
