#include <optional>

#include "core/autograd/functions/linear.h"
#include "core/ops/checks.h"
#include "core/ops/gemm.h"
#include "parallel/tensor_parallel/linear_functions.h"

namespace trireme {
namespace {

class ColumnLinear final : public Function {
 public:
  ColumnLinear(RowExchange& exchange, const Variable& x, Parameter& weight, Parameter* bias)
      : exchange_(exchange), x_(x), needs_d_x_(x.requires_grad()), weight_(weight), bias_(bias) {
    weight.expect();
    if (bias != nullptr) bias->expect();
  }
  const char* name() const override { return "column_linear"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const Tensor d_y = std::move(d_outputs[0]);
    std::optional<RowSum> sum;
    if (needs_d_x_) {
      Tensor term = exchange_.term(context, d_y.rows(), weight_.shape[1], ops::wide_dtype(d_y.dtype()));
      ops::gemm(context, d_y, weight_.value, term);
      sum = exchange_.start_sum(term);
    }
    context.weight_gradients.push(context, [d_y, x = std::move(x_), &exchange = exchange_, &weight = weight_,
                                            bias = bias_](Context& context) {
      contribute_bias(context, bias, d_y);
      contribute_weight(context, weight, d_y, exchange.all_rows(context, x.get(context)));
    });
    if (!sum) return {Tensor()};
    return {exchange_.finish_sum(context, *sum, d_y.dtype())};
  }

 private:
  RowExchange& exchange_;
  SavedValue x_;
  bool needs_d_x_;
  Parameter& weight_;
  Parameter* bias_;
};

}  // namespace

Variable column_linear(Context& context, RowExchange& exchange, const Variable& x, Parameter& weight,
                       Parameter* bias) {
  const Tensor rows = exchange.all_rows(context, x.value());
  Tensor y = context.activation({rows.rows(), weight.shape[0]}, rows.dtype());
  ops::gemm(context, rows, weight.value, y,
            {.transpose_b = true, .bias = bias == nullptr ? nullptr : &bias->value});
  if (!Function::needed(context, {x}, true)) return Variable(std::move(y));
  auto node = std::make_shared<ColumnLinear>(exchange, x, weight, bias);
  return Function::record(context, std::move(node), {x}, {std::move(y)})[0];
}

}  // namespace trireme
