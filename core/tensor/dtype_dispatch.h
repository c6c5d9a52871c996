#pragma once

#include "core/base/error.h"
#include "core/tensor/dtype.h"

namespace trireme {

template <class Body>
decltype(auto) dispatch_floating(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::kFloat64:
      return body(double{});
    case DType::kFloat32:
      return body(float{});
    case DType::kBFloat16:
      return body(bfloat16{});
    case DType::kFloat16:
      return body(float16{});
    default:
      throw ShapeError(std::string("a floating type is needed, given ") + name_of(dtype));
  }
}

}  // namespace trireme
