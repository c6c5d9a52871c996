#include "core/autograd/functions/linear.h"
#include "core/ops/checks.h"
#include "core/ops/gemm.h"
#include "parallel/tensor_parallel/linear_functions.h"

namespace trireme {
namespace {

class RowLinear final : public Function {
 public:
  RowLinear(RowExchange& exchange, const Variable& x, Parameter& weight, Parameter* bias)
      : exchange_(exchange), x_(x), needs_d_x_(x.requires_grad()), weight_(weight), bias_(bias) {
    weight.expect();
    if (bias != nullptr) bias->expect();
  }
  const char* name() const override { return "row_linear"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const Tensor d_y = std::move(d_outputs[0]);
    const Tensor all = exchange_.all_rows(context, d_y);
    Tensor d_x;
    if (needs_d_x_) {
      d_x = context.activation(x_.shape(), d_y.dtype());
      ops::gemm(context, all, weight_.value, d_x);
    }
    // A task that waits finds other rows staged, so it keeps the shard and gathers again.
    const Tensor at_once = context.weight_gradients.delayed ? Tensor() : all;
    context.weight_gradients.push(context, [d_y, at_once, x = std::move(x_), &exchange = exchange_,
                                            &weight = weight_, bias = bias_](Context& context) {
      contribute_bias(context, bias, d_y);
      contribute_weight(context, weight, at_once.defined() ? at_once : exchange.all_rows(context, d_y),
                        x.get(context));
    });
    return {std::move(d_x)};
  }

 private:
  RowExchange& exchange_;
  SavedValue x_;
  bool needs_d_x_;
  Parameter& weight_;
  Parameter* bias_;
};

}  // namespace

Variable row_linear(Context& context, RowExchange& exchange, const Variable& x, Parameter& weight,
                    Parameter* bias) {
  const DType type = x.value().dtype();
  Tensor term = exchange.term(context, x.value().rows(), weight.shape[0], ops::wide_dtype(type));
  const bool adds_bias = bias != nullptr && exchange.rank() == 0;  // once in the sum
  ops::gemm(context, x.value(), weight.value, term,
            {.transpose_b = true, .bias = adds_bias ? &bias->value : nullptr});
  Tensor y = exchange.sum(context, term, type);
  if (!Function::needed(context, {x}, true)) return Variable(std::move(y));
  auto node = std::make_shared<RowLinear>(exchange, x, weight, bias);
  return Function::record(context, std::move(node), {x}, {std::move(y)})[0];
}

}  // namespace trireme
