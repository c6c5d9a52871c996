#include "core/ops/rotary.h"

#include <fmt/format.h>

#include "core/ops/checks.h"
#include "core/ops/cpu/rotary.h"
#include "core/ops/reference/rotary.h"

namespace trireme::ops {

void rotary(Context& context, const RotaryOptions& options, const Tensor& positions, Tensor& x,
            bool inverse) {
  check_floating("rotary", "x", x);
  if (options.head_dim <= 0 || options.head_dim % 2 != 0)
    throw_shape_error("rotary", "head_dim", fmt::format("is {}", options.head_dim), "a positive even number");
  if (x.cols() != options.num_heads * options.head_dim)
    throw_shape_error("rotary", "x", "has shape " + to_string(x.shape()),
                      fmt::format("{} columns: {} heads of {}", options.num_heads * options.head_dim,
                                  options.num_heads, options.head_dim));
  check_dtype("rotary", "positions", positions, DType::kInt32);
  if (positions.num_elements() != x.rows())
    throw_shape_error("rotary", "positions", "has shape " + to_string(positions.shape()),
                      fmt::format("{} elements, one per row of x", x.rows()));
  const TraceSpan span(context.trace, "op/rotary");
  (use_reference(context, x.dtype()) ? reference::rotary : cpu::rotary)(context, options, positions, x,
                                                                        inverse);
}

}  // namespace trireme::ops
