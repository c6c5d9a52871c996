#include "core/autograd/functions/rows.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"
#include "core/ops/embedding.h"

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

/// A table looked up by row, whose gradient is wide.
class GatherRows final : public Function {
 public:
  GatherRows(Shape shape, DType dtype, Tensor rows)
      : shape_(std::move(shape)), dtype_(dtype), rows_(std::move(rows)) {}
  const char* name() const override { return "gather_rows"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_x = context.activation(shape_, dtype_);
    const DType wide = ops::wide_dtype(dtype_);
    Tensor sums = wide == dtype_ ? d_x : context.workspace(shape_, wide);
    ops::embedding_backward(context, d_outputs[0], rows_, sums, false);
    if (wide != dtype_) ops::cast(context, sums, d_x);
    return {std::move(d_x)};
  }

 private:
  Shape shape_;
  DType dtype_;
  Tensor rows_;
};

/// Rows b * T + step of a matrix, as one.
Tensor rows_of_step(const Tensor& matrix, int64_t step, int64_t num_steps) {
  return Tensor::view_of(
      matrix.storage(), matrix.byte_offset() + step * matrix.row_stride() * size_of(matrix.dtype()),
      {matrix.rows() / num_steps, matrix.cols()}, matrix.dtype(), num_steps * matrix.row_stride());
}

std::vector<Tensor> split(Context& context, const Tensor& x, int64_t num_steps) {
  std::vector<Tensor> steps;
  for (int64_t step = 0; step < num_steps; ++step) {
    const Tensor rows = rows_of_step(x, step, num_steps);
    steps.push_back(context.activation(rows.shape(), rows.dtype()));
    ops::cast(context, rows, steps.back());
  }
  return steps;
}

/// Steps that are undefined are zeros.
Tensor stack(Context& context, const std::vector<Tensor>& steps, const Shape& shape, DType dtype) {
  Tensor y = context.activation(shape, dtype);
  for (size_t step = 0; step < steps.size(); ++step) {
    Tensor rows = rows_of_step(y, static_cast<int64_t>(step), std::ssize(steps));
    if (steps[step].defined())
      ops::cast(context, steps[step], rows);
    else
      ops::fill(context, rows, 0.0);
  }
  return y;
}

class StackSteps final : public Function {
 public:
  explicit StackSteps(int64_t num_steps) : num_steps_(num_steps) {}
  const char* name() const override { return "stack_steps"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    return split(context, d_outputs[0], num_steps_);
  }

 private:
  int64_t num_steps_;
};

class SplitSteps final : public Function {
 public:
  explicit SplitSteps(const Tensor& x) : shape_(x.shape()), dtype_(x.dtype()) {}
  const char* name() const override { return "split_steps"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    return {stack(context, d_outputs, shape_, dtype_)};
  }

 private:
  Shape shape_;
  DType dtype_;
};

class JoinColumns final : public Function {
 public:
  explicit JoinColumns(int64_t num_left) : num_left_(num_left) {}
  const char* name() const override { return "join_columns"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const Tensor& d_y = d_outputs[0];
    return {part(context, d_y, 0, num_left_), part(context, d_y, num_left_, d_y.cols() - num_left_)};
  }

 private:
  static Tensor part(Context& context, const Tensor& d_y, int64_t begin, int64_t cols) {
    Tensor d_x = context.activation({d_y.rows(), cols}, d_y.dtype());
    ops::cast(context, d_y.slice(-1, begin, cols), d_x);
    return d_x;
  }

  int64_t num_left_;
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

Variable gather_rows(Context& context, const Variable& x, const Tensor& rows) {
  const Tensor& table = x.value();
  for (int64_t i = 0; i < rows.num_elements(); ++i)
    if (const int32_t row = rows.data<int32_t>()[i]; row < 0 || row >= table.rows())
      throw ShapeError(
          fmt::format("gather_rows: row {} is {}; expected one of the {} rows of x", i, row, table.rows()));
  Tensor y = context.activation({rows.num_elements(), table.cols()}, table.dtype());
  ops::embedding_forward(context, table, rows, y);
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  auto node = std::make_shared<GatherRows>(table.shape(), table.dtype(), rows);
  return Function::record(context, std::move(node), {x}, {std::move(y)})[0];
}

Variable stack_steps(Context& context, const std::vector<Variable>& steps) {
  const Tensor& first = steps.at(0).value();
  std::vector<Tensor> values;
  for (const Variable& step : steps) values.push_back(step.value());
  Tensor y = stack(context, values, {first.rows() * std::ssize(steps), first.cols()}, first.dtype());
  if (!Function::needed(context, steps, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<StackSteps>(std::ssize(steps)), steps, {std::move(y)})[0];
}

std::vector<Variable> split_steps(Context& context, const Variable& x, int64_t num_steps) {
  std::vector<Tensor> values = split(context, x.value(), num_steps);
  if (Function::needed(context, {x}, false))
    return Function::record(context, std::make_shared<SplitSteps>(x.value()), {x}, std::move(values));
  std::vector<Variable> steps;
  for (Tensor& value : values) steps.emplace_back(std::move(value));
  return steps;
}

Variable join_columns(Context& context, const Variable& left, const Variable& right) {
  const Tensor &a = left.value(), &b = right.value();
  Tensor y = context.activation({a.rows(), a.cols() + b.cols()}, a.dtype());
  Tensor left_part = y.slice(-1, 0, a.cols()), right_part = y.slice(-1, a.cols(), b.cols());
  ops::cast(context, a, left_part);
  ops::cast(context, b, right_part);
  if (!Function::needed(context, {left, right}, false)) return Variable(std::move(y));
  auto node = std::make_shared<JoinColumns>(a.cols());
  return Function::record(context, std::move(node), {left, right}, {std::move(y)})[0];
}

}  // namespace trireme
