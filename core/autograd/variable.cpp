#include "core/autograd/variable.h"

#include <fmt/format.h>

#include <map>

#include "core/base/check.h"
#include "core/base/error.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

class Leaf final : public Function {
 public:
  const char* name() const override { return "leaf"; }
  std::vector<Tensor> backward(Context&, std::vector<Tensor> d_outputs) override {
    gradient = std::move(d_outputs[0]);
    return {};
  }
  Tensor gradient;
};

/// Adds `addend` to what has arrived; in place when nobody else holds that storage.
void accumulate(Context& context, Tensor& total, Tensor addend) {
  if (!total.defined()) {
    total = std::move(addend);
  } else if (total.storage().use_count() == 1) {
    ops::add(context, total, addend, total);
  } else if (addend.storage().use_count() == 1) {
    ops::add(context, total, addend, addend);
    total = std::move(addend);
  } else {
    Tensor result = context.activation(total.shape(), total.dtype());
    ops::add(context, total, addend, result);
    total = std::move(result);
  }
}

}  // namespace

Variable Variable::leaf(Context& context, Tensor value) {
  return Function::record(context, std::make_shared<Leaf>(), {}, {std::move(value)})[0];
}

Tensor Variable::gradient() const {
  const auto* leaf = dynamic_cast<const Leaf*>(edge_.function.get());
  TRIREME_ASSERT(leaf != nullptr, "only a leaf keeps its gradient");
  return leaf->gradient;
}

Function::~Function() {
  // A long chain would overflow the stack if each node destroyed the next one: unlink it in a loop.
  std::vector<Edge> pending = std::move(inputs_);
  while (!pending.empty()) {
    Edge edge = std::move(pending.back());
    pending.pop_back();
    if (edge.function && edge.function.use_count() == 1) {
      for (Edge& next : edge.function->inputs_) pending.push_back(std::move(next));
      edge.function->inputs_.clear();
    }
  }
}

bool Function::needed(const Context& context, const std::vector<Variable>& inputs, bool has_parameters) {
  if (!context.grad_enabled) return false;
  if (has_parameters) return true;
  for (const Variable& input : inputs)
    if (input.requires_grad()) return true;
  return false;
}

std::vector<Variable> Function::record(Context& context, std::shared_ptr<Function> function,
                                       const std::vector<Variable>& inputs, std::vector<Tensor> outputs) {
  function->sequence_ = ++context.graph_sequence;
  function->num_outputs_ = static_cast<int>(outputs.size());
  for (const Variable& input : inputs) function->inputs_.push_back(input.edge_);
  std::vector<Variable> variables;
  for (int i = 0; i < function->num_outputs_; ++i) {
    Variable variable(std::move(outputs[static_cast<size_t>(i)]));
    variable.edge_ = {function, i};
    variables.push_back(std::move(variable));
  }
  return variables;
}

void backward(Context& context, std::vector<std::pair<Variable, Tensor>> roots) {
  struct Pending {
    std::shared_ptr<Function> function;
    std::vector<Tensor> d_outputs;
  };
  // A consumer is always made after its producers, so the highest sequence number has received everything.
  std::map<uint64_t, Pending> pending;
  const auto deliver = [&](const Edge& edge, Tensor gradient) {
    if (!edge.function || !gradient.defined()) return;
    Pending& entry = pending[edge.function->sequence_];
    if (!entry.function) {
      entry.function = edge.function;
      entry.d_outputs.resize(static_cast<size_t>(edge.function->num_outputs_));
    }
    accumulate(context, entry.d_outputs[static_cast<size_t>(edge.output)], std::move(gradient));
  };
  for (auto& [variable, gradient] : roots) {
    if (variable.defined() && gradient.shape() != variable.value().shape())
      throw ShapeError(fmt::format("backward: a gradient of shape {} was given for a value of shape {}",
                                   to_string(gradient.shape()), to_string(variable.value().shape())));
    deliver(variable.edge_, std::move(gradient));
  }
  roots.clear();
  const GradModeGuard no_grad(context, false);
  while (!pending.empty()) {
    const auto last = std::prev(pending.end());
    Pending entry = std::move(last->second);
    pending.erase(last);
    std::vector<Edge> inputs = std::move(entry.function->inputs_);
    entry.function->inputs_.clear();
    std::vector<Tensor> d_inputs = entry.function->backward(context, std::move(entry.d_outputs));
    TRIREME_ASSERT(d_inputs.size() == inputs.size(),
                   fmt::format("{}: backward returned {} gradients for {} inputs", entry.function->name(),
                               d_inputs.size(), inputs.size()));
    entry.function.reset();
    for (size_t i = 0; i < inputs.size(); ++i) deliver(inputs[i], std::move(d_inputs[i]));
    if (context.progress) context.progress();
  }
}

}  // namespace trireme
