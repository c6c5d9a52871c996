#include "core/autograd/functions/add.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

class Add final : public Function {
 public:
  const char* name() const override { return "add"; }
  std::vector<Tensor> backward(Context&, std::vector<Tensor> d_outputs) override {
    return {d_outputs[0], d_outputs[0]};
  }
};

}  // namespace

Variable add(Context& context, const Variable& a, const Variable& b) {
  Tensor y = context.activation(a.value().shape(), a.value().dtype());
  ops::add(context, a.value(), b.value(), y);
  if (!Function::needed(context, {a, b}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Add>(), {a, b}, {std::move(y)})[0];
}

}  // namespace trireme
