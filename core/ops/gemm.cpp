#include "core/ops/gemm.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/ops/cpu/gemm.h"
#include "core/ops/reference/gemm.h"

namespace trireme::ops {
namespace {

std::string describe(const Tensor& tensor) {
  return fmt::format("{} {}", name_of(tensor.dtype()), to_string(tensor.shape()));
}

void check(const Tensor& a, const Tensor& b, const Tensor& c, const GemmOptions& options) {
  const auto refuse = [&](const std::string& reason) {
    throw ShapeError(fmt::format("gemm: {}; given a {}{}, b {}{}, c {}{}", reason, describe(a),
                                 options.transpose_a ? " (transposed)" : "", describe(b),
                                 options.transpose_b ? " (transposed)" : "", describe(c),
                                 options.bias ? ", bias " + describe(*options.bias) : ""));
  };
  if (!is_floating(a.dtype())) refuse("a floating type is needed");
  if (a.dim() != 2 || b.dim() != 2 || c.dim() != 2) refuse("a, b and c must have two dimensions");
  const int64_t k = a.size(options.transpose_a ? 0 : 1);
  if (k != b.size(options.transpose_b ? 1 : 0)) refuse("the inner dimensions of a and b differ");
  if (c.size(0) != a.size(options.transpose_a ? 1 : 0)) refuse("a and c have different numbers of rows");
  if (c.size(1) != b.size(options.transpose_b ? 0 : 1)) refuse("b and c have different numbers of columns");
  if (a.dtype() != b.dtype()) refuse("a and b must have one type");
  if (c.dtype() != a.dtype() && (c.dtype() != DType::kFloat32 || a.dtype() == DType::kFloat64))
    refuse("c must have the type of a, or float32 for narrower inputs");
  if (options.bias != nullptr) {
    const Tensor& bias = *options.bias;
    if (bias.dim() != 1 || bias.size(0) != c.size(1)) refuse("bias must have one value per column of c");
    if (bias.dtype() != a.dtype() && bias.dtype() != DType::kFloat32)
      refuse("bias must have the type of a, or float32");
  }
}

}  // namespace

void gemm(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  const TraceSpan span(context.trace, "op/gemm");
  check(a, b, c, options);
  if (c.num_elements() == 0) return;
  if (context.reference_kernels || a.dtype() == DType::kFloat64) {
    reference::gemm(context, a, b, c, options);
  } else {
    cpu::gemm(context, a, b, c, options);
  }
}

}  // namespace trireme::ops
