#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme::testing {

/// Standard normal numbers times `std`, from `seed`; float64, float32 or bfloat16.
void fill_normal(const Tensor& tensor, uint64_t seed, double std = 1.0);
Tensor normal_tensor(Context& context, const Shape& shape, DType dtype, uint64_t seed, double std = 1.0);
/// Rows of a wider tensor: not contiguous.
Tensor strided_normal_tensor(Context& context, const Shape& shape, DType dtype, uint64_t seed);
/// int32 numbers below `limit`.
Tensor random_ids(Context& context, const Shape& shape, int64_t limit, uint64_t seed);
/// Same type, shape, strides and elements in storage of its own.
Tensor clone(Context& context, const Tensor& tensor);
/// Element `index` in row-major order, as double.
double element(const Tensor& tensor, int64_t index);

/// A differentiable computation in float64.
struct GradientCase {
  std::vector<Tensor> inputs;  ///< float64; each evaluation gets copies of its own
  std::vector<Parameter*> parameters;
  std::function<std::vector<Variable>(Context&, const std::vector<Variable>&)> forward;
  bool is_loss = false;  ///< the only output is a scaled loss: its root gradient is 1
};

/// Compares backward with finite differences (the five-point stencil, error h^4) of a random projection of
/// the outputs, for every element of every input and parameter. Returns the largest error of a tensor:
/// max|a-b| / max(max|b|, 1e-3), and names it.
struct GradientCheck {
  double error = 0;
  std::string worst;
};
GradientCheck check_gradients(Context& context, const GradientCase& gradient_case);

}  // namespace trireme::testing
