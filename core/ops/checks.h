#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// What every dispatch asks of its arguments. They throw ShapeError naming the operation, the argument, what
/// was given and what was expected.
void check_shape(const char* op, const char* argument, const Tensor& tensor, const Shape& expected);
void check_dtype(const char* op, const char* argument, const Tensor& tensor, DType expected);
void check_floating(const char* op, const char* argument, const Tensor& tensor);
void check_contiguous(const char* op, const char* argument, const Tensor& tensor);
/// Shape and dtype of `model`.
void check_like(const char* op, const char* argument, const Tensor& tensor, const char* model_name,
                const Tensor& model);
/// Any other demand: "<op>: <argument> <given>; expected <expected>".
[[noreturn]] void throw_shape_error(const char* op, const char* argument, const std::string& given,
                                    const std::string& expected);

/// Type of statistics, losses and gradients of parameters beside data of `dtype`: float64 for float64,
/// float32 for all others.
inline DType wide_dtype(DType dtype) {
  return dtype == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
}

/// Whether the plain loops run: the fast kernels take float32, bfloat16 and float16 only.
inline bool use_reference(const Context& context, DType dtype) {
  return context.reference_kernels || dtype == DType::kFloat64;
}

}  // namespace trireme::ops
