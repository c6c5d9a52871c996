#include "core/autograd/functions/norm.h"

#include "core/base/check.h"
#include "core/ops/checks.h"
#include "core/ops/norm.h"

namespace trireme {
namespace {

class Norm final : public Function {
 public:
  Norm(const NormParameters& parameters, Tensor x, NormStatistics statistics)
      : parameters_(parameters), x_(std::move(x)), statistics_(std::move(statistics)) {
    parameters_.weight->expect();
    if (parameters_.bias != nullptr) parameters_.bias->expect();
  }
  const char* name() const override { return "norm"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_x = context.activation(x_.shape(), x_.dtype());
    norm_backward(context, parameters_, d_outputs[0], x_, statistics_, d_x, false);
    x_ = Tensor();
    return {std::move(d_x)};
  }

 private:
  NormParameters parameters_;
  Tensor x_;
  NormStatistics statistics_;
};

}  // namespace

Tensor norm_forward(Context& context, const NormParameters& parameters, const Tensor& x,
                    NormStatistics& statistics) {
  const DType type = ops::wide_dtype(x.dtype());
  Tensor y = context.activation(x.shape(), x.dtype());
  statistics.rstd = context.activation({x.rows()}, type);
  if (parameters.kind == NormKind::kRmsNorm) {
    ops::rms_norm_forward(context, x, parameters.weight->value, parameters.eps, y, statistics.rstd);
  } else {
    statistics.mean = context.activation({x.rows()}, type);
    ops::layer_norm_forward(context, x, parameters.weight->value,
                            parameters.bias == nullptr ? nullptr : &parameters.bias->value, parameters.eps, y,
                            statistics.mean, statistics.rstd);
  }
  return y;
}

void norm_backward(Context& context, const NormParameters& parameters, const Tensor& d_y, const Tensor& x,
                   const NormStatistics& statistics, Tensor& d_x, bool accumulate_d_x) {
  Parameter& weight = *parameters.weight;
  weight.contribute([&](Tensor& d_weight, bool accumulate) {
    if (parameters.kind == NormKind::kRmsNorm) {
      ops::rms_norm_backward(context, d_y, x, weight.value, statistics.rstd, d_x, accumulate_d_x, d_weight,
                             accumulate);
    } else if (parameters.bias == nullptr) {
      ops::layer_norm_backward(context, d_y, x, weight.value, statistics.mean, statistics.rstd, d_x,
                               accumulate_d_x, d_weight, nullptr, accumulate);
    } else {
      parameters.bias->contribute([&](Tensor& d_bias, bool accumulate_bias) {
        TRIREME_ASSERT(accumulate == accumulate_bias, weight.name + " and its bias are used apart");
        ops::layer_norm_backward(context, d_y, x, weight.value, statistics.mean, statistics.rstd, d_x,
                                 accumulate_d_x, d_weight, &d_bias, accumulate);
      });
    }
  });
}

Recipe norm_recipe(const NormParameters& parameters, const Tensor& x) {
  return [parameters, x](Context& context) {
    NormStatistics statistics;
    return norm_forward(context, parameters, x, statistics);
  };
}

Variable norm(Context& context, const NormParameters& parameters, const Variable& x) {
  NormStatistics statistics;
  Tensor y = norm_forward(context, parameters, x.value(), statistics);
  if (!Function::needed(context, {x}, true)) return Variable(std::move(y));
  auto node = std::make_shared<Norm>(parameters, x.value(), std::move(statistics));
  Variable result = Function::record(context, std::move(node), {x}, {std::move(y)})[0];
  if (context.keep_recipes) result.set_recipe(norm_recipe(parameters, x.value()));
  return result;
}

}  // namespace trireme
