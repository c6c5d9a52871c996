#include "core/autograd/functions/residual_norm.h"

#include "core/autograd/functions/support.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// Inputs: the branch, where there is one, and the residual.
class ResidualNorm final : public Function {
 public:
  ResidualNorm(const NormParameters& parameters, bool has_branch, const ops::DropoutOptions& dropout,
               Tensor sum, NormStatistics statistics)
      : parameters_(parameters),
        has_branch_(has_branch),
        dropout_(dropout),
        sum_(std::move(sum)),
        statistics_(std::move(statistics)) {
    parameters_.weight->expect();
    if (parameters_.bias != nullptr) parameters_.bias->expect();
  }
  const char* name() const override { return "residual_norm"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_sum = std::move(d_outputs[0]);
    const Tensor d_normalized = std::move(d_outputs[1]);
    const bool accumulate = d_sum.defined();
    if (!accumulate) {
      d_sum = context.activation(sum_.shape(), sum_.dtype());
    } else if (!exclusive(d_sum)) {  // somebody still reads it: a delayed weight gradient, a caller's root
      Tensor copy = context.activation(d_sum.shape(), d_sum.dtype());
      ops::cast(context, d_sum, copy);
      d_sum = std::move(copy);
    }
    if (d_normalized.defined()) {
      norm_backward(context, parameters_, d_normalized, sum_, statistics_, d_sum, accumulate);
    } else {
      parameters_.weight->release();
      if (parameters_.bias != nullptr) parameters_.bias->release();
    }
    sum_ = Tensor();
    if (!has_branch_) return {std::move(d_sum)};
    if (dropout_.probability == 0) return {d_sum, d_sum};
    Tensor d_branch = context.activation(d_sum.shape(), d_sum.dtype());
    ops::dropout(context, dropout_, d_sum, nullptr, d_branch);
    return {std::move(d_branch), std::move(d_sum)};
  }

 private:
  NormParameters parameters_;
  bool has_branch_;
  ops::DropoutOptions dropout_;
  Tensor sum_;
  NormStatistics statistics_;
};

ResidualNormOutput normalize(Context& context, const NormParameters& parameters, bool has_branch,
                             const ops::DropoutOptions& dropout, Tensor sum,
                             const std::vector<Variable>& inputs) {
  NormStatistics statistics;
  Tensor normalized = norm_forward(context, parameters, sum, statistics);
  if (!Function::needed(context, inputs, true))
    return {Variable(std::move(sum)), Variable(std::move(normalized))};
  auto node = std::make_shared<ResidualNorm>(parameters, has_branch, dropout, sum, std::move(statistics));
  auto outputs = Function::record(context, std::move(node), inputs, {sum, std::move(normalized)});
  if (context.keep_recipes) outputs[1].set_recipe(norm_recipe(parameters, sum));
  return {std::move(outputs[0]), std::move(outputs[1])};
}

}  // namespace

ResidualNormOutput fork_norm(Context& context, const NormParameters& parameters, const Variable& x) {
  return normalize(context, parameters, false, {}, x.value(), {x});
}

ResidualNormOutput residual_norm(Context& context, const NormParameters& parameters,
                                 const ops::DropoutOptions& dropout, const Variable& branch,
                                 const Variable& residual) {
  Tensor sum = context.activation(branch.value().shape(), branch.value().dtype());
  if (dropout.probability == 0) {
    ops::add(context, residual.value(), branch.value(), sum);
  } else {
    ops::dropout(context, dropout, branch.value(), &residual.value(), sum);
  }
  return normalize(context, parameters, true, dropout, std::move(sum), {branch, residual});
}

}  // namespace trireme
