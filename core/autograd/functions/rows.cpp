#include "core/autograd/functions/rows.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

class EveryNthRow final : public Function {
 public:
  EveryNthRow(Shape shape, int64_t n) : shape_(std::move(shape)), n_(n) {}
  const char* name() const override { return "every_nth_row"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_x = context.activation(shape_, d_outputs[0].dtype());
    ops::fill(context, d_x, 0.0);
    for (int64_t row = 0; row < d_outputs[0].rows(); ++row) {
      Tensor to = d_x.slice(0, row * n_, 1);
      ops::cast(context, d_outputs[0].slice(0, row, 1), to);
    }
    return {std::move(d_x)};
  }

 private:
  Shape shape_;
  int64_t n_;
};

}  // namespace

Variable every_nth_row(Context& context, const Variable& x, int64_t n) {
  const Tensor& from = x.value();
  Tensor y = context.activation({from.rows() / n, from.cols()}, from.dtype());
  for (int64_t row = 0; row < y.rows(); ++row) {
    Tensor to = y.slice(0, row, 1);
    ops::cast(context, from.slice(0, row * n, 1), to);
  }
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<EveryNthRow>(from.shape(), n), {x}, {std::move(y)})[0];
}

}  // namespace trireme
