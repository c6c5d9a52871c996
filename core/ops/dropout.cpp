#include "core/ops/dropout.h"

#include <fmt/format.h>

#include "core/ops/checks.h"
#include "core/ops/cpu/dropout.h"
#include "core/ops/reference/dropout.h"

namespace trireme::ops {

void dropout(Context& context, const DropoutOptions& options, const Tensor& x, const Tensor* residual,
             Tensor& y) {
  check_floating("dropout", "x", x);
  check_like("dropout", "y", y, "x", x);
  if (residual != nullptr) check_like("dropout", "residual", *residual, "x", x);
  if (!(options.probability >= 0.0 && options.probability < 1.0))
    throw_shape_error("dropout", "probability", fmt::format("is {}", options.probability), "[0, 1)");
  if (options.feature_offset % 4 != 0)
    throw_shape_error("dropout", "feature_offset", fmt::format("is {}", options.feature_offset),
                      "a multiple of 4");
  check_dtype("dropout", "positions", options.positions, DType::kInt32);
  if (options.positions.dim() != 2 || options.positions.num_elements() != x.rows())
    throw_shape_error("dropout", "positions", "has shape " + to_string(options.positions.shape()),
                      fmt::format("[samples, length] with {} elements, one per row of x", x.rows()));
  check_dtype("dropout", "sample_ids", options.sample_ids, DType::kInt64);
  check_shape("dropout", "sample_ids", options.sample_ids, {options.positions.size(0)});
  const TraceSpan span(context.trace, "op/dropout");
  (use_reference(context, x.dtype()) ? reference::dropout : cpu::dropout)(context, options, x, residual, y);
}

}  // namespace trireme::ops
