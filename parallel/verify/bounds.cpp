// The one table of how far two layouts may be apart.
#include <algorithm>

#include "parallel/verify/difference.h"

namespace trireme::verify {
namespace {

/// What is always allowed: one rank may be close to fp64 by luck.
Bounds least_bounds(Precision precision) {
  if (precision == Precision::kFp32)
    return {.gradient = 2e-5, .weight = 2e-5, .loss = 1e-6, .grad_norm = 1e-5};
  if (precision == Precision::kBf16)
    return {.gradient = 5e-2, .weight = 5e-2, .loss = 1e-2, .grad_norm = 2e-2};
  return {.gradient = 1e-2, .weight = 1e-2, .loss = 3e-3, .grad_norm = 5e-3};
}

/// Two layouts add the same terms in another order (partial products of split matrices, micro-batches,
/// ranks), so both are about as far from fp64 as rounding makes any of them, in directions of their own.
constexpr double kTimesRounding = 4;

}  // namespace

Bounds fp64_bounds() {
  return {.gradient = 1e-10, .weight = 1e-10, .loss = 1e-10, .grad_norm = 1e-10};
}

Bounds bounds_of(Precision precision, const Difference& rounding) {
  Bounds bounds = least_bounds(precision);
  bounds.gradient = std::max(bounds.gradient, kTimesRounding * rounding.worst_gradient().gradient);
  bounds.weight = std::max(bounds.weight, kTimesRounding * rounding.worst_weight().weight);
  bounds.loss = std::max(bounds.loss, kTimesRounding * rounding.loss);
  bounds.grad_norm = std::max(bounds.grad_norm, kTimesRounding * rounding.grad_norm);
  return bounds;
}

}  // namespace trireme::verify
