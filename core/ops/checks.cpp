#include "core/ops/checks.h"

#include <fmt/format.h>

namespace trireme::ops {
namespace {

void check_defined(const char* op, const char* argument, const Tensor& tensor) {
  if (!tensor.defined()) throw_shape_error(op, argument, "is undefined", "a tensor");
}

}  // namespace

void throw_shape_error(const char* op, const char* argument, const std::string& given,
                       const std::string& expected) {
  throw ShapeError(fmt::format("{}: {} {}; expected {}", op, argument, given, expected));
}

void check_shape(const char* op, const char* argument, const Tensor& tensor, const Shape& expected) {
  check_defined(op, argument, tensor);
  if (tensor.shape() != expected)
    throw_shape_error(op, argument, "has shape " + to_string(tensor.shape()), to_string(expected));
}

void check_dtype(const char* op, const char* argument, const Tensor& tensor, DType expected) {
  check_defined(op, argument, tensor);
  if (tensor.dtype() != expected)
    throw_shape_error(op, argument, std::string("is ") + name_of(tensor.dtype()), name_of(expected));
}

void check_floating(const char* op, const char* argument, const Tensor& tensor) {
  check_defined(op, argument, tensor);
  if (!is_floating(tensor.dtype()))
    throw_shape_error(op, argument, std::string("is ") + name_of(tensor.dtype()), "a floating type");
}

void check_contiguous(const char* op, const char* argument, const Tensor& tensor) {
  check_defined(op, argument, tensor);
  if (!tensor.is_contiguous())
    throw_shape_error(
        op, argument,
        fmt::format("has shape {} and row stride {}", to_string(tensor.shape()), tensor.row_stride()),
        "a contiguous tensor");
}

void check_like(const char* op, const char* argument, const Tensor& tensor, const char* model_name,
                const Tensor& model) {
  check_defined(op, argument, tensor);
  if (tensor.shape() != model.shape() || tensor.dtype() != model.dtype())
    throw_shape_error(
        op, argument, fmt::format("is {} {}", name_of(tensor.dtype()), to_string(tensor.shape())),
        fmt::format("{} {} like {}", name_of(model.dtype()), to_string(model.shape()), model_name));
}

}  // namespace trireme::ops
