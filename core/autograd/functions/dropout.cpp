#include "core/autograd/functions/dropout.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// y = dropout(x) (+ residual, when it has two inputs). The mask is made again in backward.
class Dropout final : public Function {
 public:
  Dropout(const ops::DropoutOptions& options, bool has_residual)
      : options_(options), has_residual_(has_residual) {}
  const char* name() const override { return "dropout"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_y = std::move(d_outputs[0]);
    if (options_.probability == 0) return {d_y, d_y};
    Tensor d_x = context.activation(d_y.shape(), d_y.dtype());
    ops::dropout(context, options_, d_y, nullptr, d_x);
    if (!has_residual_) return {std::move(d_x)};
    return {std::move(d_x), std::move(d_y)};
  }

 private:
  ops::DropoutOptions options_;
  bool has_residual_;
};

}  // namespace

Variable dropout(Context& context, const ops::DropoutOptions& options, const Variable& x) {
  if (options.probability == 0) return x;
  Tensor y = context.activation(x.value().shape(), x.value().dtype());
  ops::dropout(context, options, x.value(), nullptr, y);
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Dropout>(options, false), {x}, {std::move(y)})[0];
}

Variable dropout_add(Context& context, const ops::DropoutOptions& options, const Variable& x,
                     const Variable& residual) {
  Tensor y = context.activation(x.value().shape(), x.value().dtype());
  if (options.probability == 0) {
    ops::add(context, residual.value(), x.value(), y);
  } else {
    ops::dropout(context, options, x.value(), &residual.value(), y);
  }
  if (!Function::needed(context, {x, residual}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Dropout>(options, true), {x, residual},
                          {std::move(y)})[0];
}

}  // namespace trireme
