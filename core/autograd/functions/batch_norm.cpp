#include "core/autograd/functions/batch_norm.h"

#include "core/autograd/functions/support.h"
#include "core/ops/batch_norm.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

class BatchNorm final : public Function {
 public:
  /// count 0: over running statistics.
  BatchNorm(const BatchNormParameters& parameters, Tensor x, Tensor counted, Tensor mean, Tensor rstd,
            double count)
      : parameters_(parameters),
        x_(std::move(x)),
        counted_(std::move(counted)),
        mean_(std::move(mean)),
        rstd_(std::move(rstd)),
        count_(count) {
    parameters_.weight->expect();
    parameters_.bias->expect();
  }
  const char* name() const override { return "batch_norm"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const int64_t cols = x_.cols();
    Tensor sums = context.workspace({2 * cols}, DType::kFloat64);
    ops::batch_norm_backward_sums(context, d_outputs[0], x_, counted_, mean_, rstd_, sums);
    // The parameters' gradients are this rank's; they are added up with all others.
    contribute_gradient(context, *parameters_.bias, sums.slice(0, 0, cols));
    contribute_gradient(context, *parameters_.weight, sums.slice(0, cols, cols));
    const bool of_batch = count_ > 0;
    if (of_batch && parameters_.sum_over_ranks) parameters_.sum_over_ranks(sums);
    Tensor d_x = context.activation(x_.shape(), x_.dtype());
    ops::batch_norm_backward(context, d_outputs[0], x_, counted_, mean_, rstd_, parameters_.weight->value,
                             of_batch ? &sums : nullptr, count_, d_x);
    x_ = Tensor();
    return {std::move(d_x)};
  }

 private:
  BatchNormParameters parameters_;
  Tensor x_, counted_, mean_, rstd_;
  double count_;
};

}  // namespace

Variable batch_norm(Context& context, const BatchNormParameters& parameters, const Variable& x,
                    const Tensor& counted) {
  const Tensor& value = x.value();
  const int64_t cols = value.cols();
  const bool graph = Function::needed(context, {x}, true);
  Tensor mean = context.activation({cols}, ops::wide_dtype(value.dtype()));
  Tensor rstd = context.activation({cols}, ops::wide_dtype(value.dtype()));
  double count = 0;
  if (context.training) {
    Tensor sums = context.workspace({2 * cols + 1}, DType::kFloat64);
    ops::batch_norm_sums(context, value, counted, sums);
    if (parameters.sum_over_ranks) parameters.sum_over_ranks(sums);
    count = sums.data<double>()[2 * cols];
    ops::batch_norm_statistics(context, sums, parameters.eps, mean, rstd);
    Tensor running_mean = parameters.running_mean, running_variance = parameters.running_variance;
    if (graph)
      ops::update_running_statistics(context, sums, parameters.momentum, running_mean, running_variance);
  } else {
    ops::running_statistics(context, parameters.running_mean, parameters.running_variance, parameters.eps,
                            mean, rstd);
  }
  Tensor y = context.activation(value.shape(), value.dtype());
  ops::batch_norm_forward(context, value, counted, mean, rstd, parameters.weight->value,
                          parameters.bias->value, y);
  if (!graph) return Variable(std::move(y));
  auto node =
      std::make_shared<BatchNorm>(parameters, value, counted, std::move(mean), std::move(rstd), count);
  return Function::record(context, std::move(node), {x}, {std::move(y)})[0];
}

}  // namespace trireme
