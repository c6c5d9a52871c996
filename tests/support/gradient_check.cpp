#include "tests/support/gradient_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/base/philox.h"

namespace trireme::testing {
namespace {

constexpr double kStep = 1e-3;

double& at(const Tensor& tensor, int64_t index) {
  return tensor.row<double>(index / tensor.cols())[index % tensor.cols()];
}

std::vector<Tensor> copies(Context& context, const std::vector<Tensor>& tensors) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(clone(context, tensor));
  return result;
}

/// The random direction in which output `index` is projected.
Tensor projection(Context& context, const GradientCase& gradient_case, const Tensor& output, size_t index) {
  if (!gradient_case.is_loss)
    return normal_tensor(context, output.shape(), DType::kFloat64, 7000 + static_cast<uint64_t>(index));
  Tensor one = context.activation({1}, DType::kFloat64);
  one.data<double>()[0] = 1.0;
  return one;
}

double evaluate(Context& context, const GradientCase& gradient_case) {
  const GradModeGuard no_grad(context, false);
  std::vector<Variable> inputs;
  for (Tensor& input : copies(context, gradient_case.inputs)) inputs.emplace_back(std::move(input));
  const std::vector<Variable> outputs = gradient_case.forward(context, inputs);
  double sum = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& output = outputs[i].value();
    const Tensor direction = projection(context, gradient_case, output, i);
    for (int64_t j = 0; j < output.num_elements(); ++j) sum += at(output, j) * at(direction, j);
  }
  return sum;
}

/// f' = (f(-2h) - 8 f(-h) + 8 f(h) - f(2h)) / 12h.
double slope(Context& context, const GradientCase& gradient_case, double& x) {
  const double middle = x;
  const auto value = [&](double offset) {
    x = middle + offset;
    const double result = evaluate(context, gradient_case);
    x = middle;
    return result;
  };
  return (value(-2 * kStep) - 8 * value(-kStep) + 8 * value(kStep) - value(2 * kStep)) / (12 * kStep);
}

void compare(Context& context, const GradientCase& gradient_case, const Tensor& values,
             const Tensor& gradient, const std::string& name, GradientCheck& check) {
  double largest = 1e-3, difference = 0;
  for (int64_t i = 0; i < values.num_elements(); ++i) {
    const double numeric = slope(context, gradient_case, at(values, i));
    const double given = gradient.defined() ? at(gradient, i) : 0.0;
    largest = std::max(largest, std::abs(numeric));
    difference = std::isfinite(given) ? std::max(difference, std::abs(given - numeric))
                                      : std::numeric_limits<double>::infinity();
  }
  if (difference / largest < check.error) return;
  check.error = difference / largest;
  check.worst = name;
}

}  // namespace

void fill_normal(const Tensor& tensor, uint64_t seed, double std) {
  const RandomKey key = RandomKey::make(seed, RandomPurpose::kSynthetic, 0, 0);
  for (int64_t i = 0; i < tensor.num_elements(); ++i) {
    const auto bits = philox(key, {static_cast<uint32_t>(i), 0, 0, 0});
    const double value = std * normal_from_bits(bits[0], bits[1])[0];
    const int64_t row = i / tensor.cols(), col = i % tensor.cols();
    dispatch_floating(tensor.dtype(), [&]<class T>(T) {
      if constexpr (std::is_same_v<T, double>) {
        tensor.row<T>(row)[col] = value;
      } else {
        tensor.row<T>(row)[col] = T(static_cast<float>(value));
      }
    });
  }
}

Tensor normal_tensor(Context& context, const Shape& shape, DType dtype, uint64_t seed, double std) {
  Tensor tensor = context.workspace(shape, dtype);
  fill_normal(tensor, seed, std);
  return tensor;
}

Tensor strided_normal_tensor(Context& context, const Shape& shape, DType dtype, uint64_t seed) {
  Shape wide = shape;
  wide.back() += 5;
  Tensor tensor = context.workspace(wide, dtype);
  fill_normal(tensor, seed + 1);
  tensor = tensor.slice(-1, 2, shape.back());
  fill_normal(tensor, seed);
  return tensor;
}

Tensor random_ids(Context& context, const Shape& shape, int64_t limit, uint64_t seed) {
  Tensor ids = context.workspace(shape, DType::kInt32);
  const RandomKey key = RandomKey::make(seed, RandomPurpose::kSynthetic, 1, 0);
  for (int64_t i = 0; i < ids.num_elements(); ++i)
    ids.data<int32_t>()[i] = static_cast<int32_t>(philox(key, {static_cast<uint32_t>(i), 0, 0, 0})[0] %
                                                  static_cast<uint64_t>(limit));
  return ids;
}

Tensor clone(Context& context, const Tensor& tensor) {
  Shape wide = tensor.shape();
  wide.back() = tensor.row_stride();
  Tensor result = context.workspace(wide, tensor.dtype()).slice(-1, 0, tensor.cols());
  const int64_t stride = tensor.row_stride() * size_of(tensor.dtype());
  for (int64_t row = 0; row < tensor.rows(); ++row)
    std::memcpy(result.raw() + row * stride, tensor.raw() + row * stride,
                static_cast<size_t>(tensor.cols() * size_of(tensor.dtype())));
  return result;
}

double element(const Tensor& tensor, int64_t index) {
  const int64_t row = index / tensor.cols(), col = index % tensor.cols();
  return dispatch_floating(tensor.dtype(), [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, double>) {
      return tensor.row<T>(row)[col];
    } else {
      return static_cast<double>(static_cast<float>(tensor.row<T>(row)[col]));
    }
  });
}

GradientCheck check_gradients(Context& context, const GradientCase& gradient_case) {
  for (Parameter* parameter : gradient_case.parameters) parameter->begin_accumulation();
  std::vector<Variable> inputs;
  for (Tensor& input : copies(context, gradient_case.inputs))
    inputs.push_back(Variable::leaf(context, std::move(input)));
  const std::vector<Variable> outputs = gradient_case.forward(context, inputs);
  std::vector<std::pair<Variable, Tensor>> roots;
  for (size_t i = 0; i < outputs.size(); ++i)
    roots.emplace_back(outputs[i], projection(context, gradient_case, outputs[i].value(), i));
  backward(context, std::move(roots));

  GradientCheck check;
  for (size_t i = 0; i < inputs.size(); ++i)
    compare(context, gradient_case, gradient_case.inputs[i], inputs[i].gradient(),
            "input " + std::to_string(i), check);
  for (Parameter* parameter : gradient_case.parameters)
    compare(context, gradient_case, parameter->value,
            parameter->has_gradient() ? parameter->gradient : Tensor(), parameter->name, check);
  return check;
}

}  // namespace trireme::testing
