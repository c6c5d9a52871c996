#include "core/autograd/functions/scale.h"

#include "core/autograd/functions/support.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"

namespace trireme {
namespace {

Tensor copy_of(Context& context, const Tensor& x) {
  Tensor copy = context.activation(x.shape(), x.dtype());
  ops::cast(context, x, copy);
  return copy;
}

class Scale final : public Function {
 public:
  explicit Scale(double factor) : factor_(factor) {}
  const char* name() const override { return "scale"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_x = exclusive(d_outputs[0]) ? std::move(d_outputs[0]) : copy_of(context, d_outputs[0]);
    ops::scale(context, d_x, factor_);
    return {std::move(d_x)};
  }

 private:
  double factor_;
};

class AddConstant final : public Function {
 public:
  const char* name() const override { return "add_constant"; }
  std::vector<Tensor> backward(Context&, std::vector<Tensor> d_outputs) override { return d_outputs; }
};

}  // namespace

Variable scale(Context& context, const Variable& x, double factor) {
  Tensor y = copy_of(context, x.value());
  ops::scale(context, y, factor);
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Scale>(factor), {x}, {std::move(y)})[0];
}

Variable add_constant_rows(Context& context, const Variable& x, const Tensor& table, const Tensor& ids) {
  Tensor y = copy_of(context, x.value());
  ops::embedding_forward(context, table, ids, y, true);
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<AddConstant>(), {x}, {std::move(y)})[0];
}

}  // namespace trireme
