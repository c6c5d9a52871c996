#include "core/autograd/functions/recompute.h"

namespace trireme {
namespace {

class Recompute final : public Function {
 public:
  Recompute(const std::vector<Parameter*>& parameters, RecomputedPart part,
            const std::vector<Variable>& inputs)
      : parameters_(parameters), part_(std::move(part)) {
    for (Parameter* parameter : parameters_) parameter->expect();
    for (const Variable& input : inputs) {
      saved_.push_back(input.value());
      needs_gradient_.push_back(input.requires_grad());
    }
  }
  const char* name() const override { return "recompute"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    std::vector<Variable> inputs;
    std::vector<std::pair<Variable, Tensor>> roots;
    {
      const GradModeGuard grad(context, true);
      for (size_t i = 0; i < saved_.size(); ++i)
        inputs.push_back(needs_gradient_[i] ? Variable::leaf(context, saved_[i]) : Variable(saved_[i]));
      std::vector<Variable> outputs = part_(context, inputs);
      for (size_t i = 0; i < outputs.size(); ++i)
        if (d_outputs[i].defined()) roots.emplace_back(std::move(outputs[i]), std::move(d_outputs[i]));
    }
    saved_.clear();
    trireme::backward(context, std::move(roots));
    for (Parameter* parameter : parameters_) parameter->release();
    std::vector<Tensor> d_inputs;
    for (const Variable& input : inputs)
      d_inputs.push_back(input.requires_grad() ? input.gradient() : Tensor());
    return d_inputs;
  }

 private:
  std::vector<Parameter*> parameters_;
  RecomputedPart part_;
  std::vector<Tensor> saved_;
  std::vector<bool> needs_gradient_;
};

}  // namespace

std::vector<Variable> recompute(Context& context, const std::vector<Parameter*>& parameters,
                                RecomputedPart part, const std::vector<Variable>& inputs) {
  std::vector<Variable> outputs;
  {
    const GradModeGuard no_grad(context, false);
    outputs = part(context, inputs);
  }
  if (!Function::needed(context, inputs, !parameters.empty())) return outputs;
  std::vector<Tensor> values;
  for (const Variable& output : outputs) values.push_back(output.value());
  auto node = std::make_shared<Recompute>(parameters, std::move(part), inputs);
  return Function::record(context, std::move(node), inputs, std::move(values));
}

}  // namespace trireme
