#include "core/ops/reduce.h"

#include "core/ops/checks.h"
#include "core/ops/cpu/reduce.h"
#include "core/ops/reference/reduce.h"

namespace trireme::ops {

double sum(Context& context, const Tensor& x) {
  check_floating("sum", "x", x);
  const TraceSpan span(context.trace, "op/sum");
  return (use_reference(context, x.dtype()) ? reference::sum : cpu::sum)(context, x);
}

double sum_of_squares(Context& context, const Tensor& x) {
  check_floating("sum_of_squares", "x", x);
  const TraceSpan span(context.trace, "op/sum_of_squares");
  return (use_reference(context, x.dtype()) ? reference::sum_of_squares : cpu::sum_of_squares)(context, x);
}

int64_t count_non_finite(Context& context, const Tensor& x) {
  check_floating("count_non_finite", "x", x);
  const TraceSpan span(context.trace, "op/count_non_finite");
  return (use_reference(context, x.dtype()) ? reference::count_non_finite : cpu::count_non_finite)(context,
                                                                                                   x);
}

void column_sum(Context& context, const Tensor& x, Tensor& out, bool accumulate) {
  check_floating("column_sum", "x", x);
  check_shape("column_sum", "out", out, {x.cols()});
  check_dtype("column_sum", "out", out, wide_dtype(x.dtype()));
  const TraceSpan span(context.trace, "op/column_sum");
  (use_reference(context, x.dtype()) ? reference::column_sum : cpu::column_sum)(context, x, out, accumulate);
}

}  // namespace trireme::ops
