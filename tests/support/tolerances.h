#pragma once

#include "core/tensor/dtype.h"

namespace trireme::testing {

/// Bound on relative_error of one operation against the float64 reference on the same inputs. Values near the
/// largest element of the result round by half a unit in the last place (2^-24 in float32, 2^-9 in bfloat16);
/// the rest is room for what is added up before.
/// - float64: the reference itself in another order: 1e-12.
/// - float32: a polynomial of a few units (2e-7) or a sum over a few hundred terms: 4e-6.
/// - bfloat16: math in float32, one rounding of the result, 2^-9 = 2e-3, of which one may come on
///   top where an accumulating operation rounds twice: 4e-3.
/// - float16: math in float32, one rounding of the result, 2^-11 = 4.9e-4: 5e-4, so none on top.
inline double tolerance(DType dtype) {
  switch (dtype) {
    case DType::kFloat64:
      return 1e-12;
    case DType::kFloat32:
      return 4e-6;
    case DType::kBFloat16:
      return 4e-3;
    default:
      return 5e-4;
  }
}

/// Tolerance factor of an output that stays float32 beside 16-bit ones.
inline double float32_factor(DType dtype) {
  return tolerance(DType::kFloat32) / tolerance(dtype);
}

}  // namespace trireme::testing
