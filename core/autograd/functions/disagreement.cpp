#include "core/autograd/functions/disagreement.h"

#include "core/autograd/functions/support.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace trireme {
namespace {

/// The gradient of a sum, for each of its terms.
Tensor spread(Context& context, const Tensor& d_sum, int64_t count) {
  Tensor d_values = context.workspace({count}, DType::kFloat64);
  ops::fill(context, d_values, first_element(d_sum));
  return d_values;
}

class HeadDisagreement final : public Function {
 public:
  HeadDisagreement(Tensor x, const HeadColumns& columns, Tensor counted)
      : x_(std::move(x)), columns_(columns), counted_(std::move(counted)) {}
  const char* name() const override { return "head_disagreement"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const int64_t width = columns_.num_heads * columns_.head_dim;
    Tensor d_x = context.activation(x_.shape(), x_.dtype());
    if (width != x_.cols()) ops::fill(context, d_x, 0.0);
    Tensor d_heads = d_x.slice(-1, columns_.first_column, width);
    ops::head_disagreement_backward(context, columns_.num_heads, x_.slice(-1, columns_.first_column, width),
                                    counted_, spread(context, d_outputs[0], columns_.num_samples), d_heads);
    x_ = Tensor();
    return {std::move(d_x)};
  }

 private:
  Tensor x_;
  HeadColumns columns_;
  Tensor counted_;
};

class MapDisagreement final : public Function {
 public:
  MapDisagreement(Tensor probabilities, Tensor counted)
      : probabilities_(std::move(probabilities)), counted_(std::move(counted)) {}
  const char* name() const override { return "map_disagreement"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_probabilities = Tensor::allocate(context.allocator, probabilities_.shape(),
                                              probabilities_.dtype(), MemoryCategory::kActivations);
    ops::map_disagreement_backward(context, probabilities_, counted_,
                                   spread(context, d_outputs[0], probabilities_.size(0)), d_probabilities);
    probabilities_ = Tensor();
    return {std::move(d_probabilities)};
  }

 private:
  Tensor probabilities_, counted_;
};

Tensor summed(Context& context, const Tensor& values, DType dtype) {
  Tensor sum = context.activation({1}, ops::wide_dtype(dtype));
  ops::fill(context, sum, ops::sum(context, values));
  return sum;
}

}  // namespace

Variable head_disagreement(Context& context, const Variable& x, const HeadColumns& columns,
                           const Tensor& counted) {
  Tensor values = context.workspace({columns.num_samples}, DType::kFloat64);
  ops::head_disagreement_forward(
      context, columns.num_heads,
      x.value().slice(-1, columns.first_column, columns.num_heads * columns.head_dim), counted, values);
  Tensor sum = summed(context, values, x.value().dtype());
  if (!Function::needed(context, {x}, false)) return Variable(std::move(sum));
  return Function::record(context, std::make_shared<HeadDisagreement>(x.value(), columns, counted), {x},
                          {std::move(sum)})[0];
}

Variable map_disagreement(Context& context, const Variable& probabilities, const Tensor& counted) {
  Tensor values = context.workspace({probabilities.value().size(0)}, DType::kFloat64);
  ops::map_disagreement_forward(context, probabilities.value(), counted, values);
  Tensor sum = summed(context, values, probabilities.value().dtype());
  if (!Function::needed(context, {probabilities}, false)) return Variable(std::move(sum));
  return Function::record(context, std::make_shared<MapDisagreement>(probabilities.value(), counted),
                          {probabilities}, {std::move(sum)})[0];
}

}  // namespace trireme
