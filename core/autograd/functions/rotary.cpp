#include "core/autograd/functions/rotary.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

Tensor rotated_copy(Context& context, const ops::RotaryOptions& options, const Tensor& positions,
                    const Tensor& x, bool inverse) {
  Tensor y = context.activation(x.shape(), x.dtype());
  ops::cast(context, x, y);
  ops::rotary(context, options, positions, y, inverse);
  return y;
}

class Rotary final : public Function {
 public:
  Rotary(const ops::RotaryOptions& options, Tensor positions)
      : options_(options), positions_(std::move(positions)) {}
  const char* name() const override { return "rotary"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    return {rotated_copy(context, options_, positions_, d_outputs[0], true)};
  }

 private:
  ops::RotaryOptions options_;
  Tensor positions_;
};

}  // namespace

Variable rotary(Context& context, const ops::RotaryOptions& options, const Tensor& positions,
                const Variable& x) {
  Tensor y = rotated_copy(context, options, positions, x.value(), false);
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Rotary>(options, positions), {x}, {std::move(y)})[0];
}

}  // namespace trireme
