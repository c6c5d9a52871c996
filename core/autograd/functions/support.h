#pragma once

#include "core/autograd/parameter.h"
#include "core/ops/elementwise.h"
#include "core/tensor/tensor.h"

namespace trireme {

/// The same rows as one matrix [rows, cols].
inline Tensor as_matrix(const Tensor& x) {
  return x.reshape({x.rows(), x.cols()});
}

/// Whether this handle is the only one on its storage, so that the tensor may be overwritten.
inline bool exclusive(const Tensor& x) {
  return x.storage().use_count() == 1;
}

/// The number that a loss or its gradient holds: float32 or float64.
inline double first_element(const Tensor& x) {
  return x.dtype() == DType::kFloat64 ? x.data<double>()[0] : static_cast<double>(x.data<float>()[0]);
}

/// A gradient that is there already, in any floating type.
inline void contribute_gradient(Context& context, Parameter& parameter, const Tensor& gradient) {
  parameter.contribute([&](Tensor& sum, bool accumulate) {
    if (!accumulate) return ops::cast(context, gradient, sum);
    Tensor term = context.workspace(sum.shape(), sum.dtype());
    ops::cast(context, gradient, term);
    ops::add(context, sum, term, sum);
  });
}

}  // namespace trireme
