#include "core/ops/elementwise.h"

#include "core/ops/checks.h"
#include "core/ops/cpu/elementwise.h"
#include "core/ops/reference/elementwise.h"

namespace trireme::ops {

void add(Context& context, const Tensor& a, const Tensor& b, Tensor& c) {
  check_floating("add", "a", a);
  check_like("add", "b", b, "a", a);
  check_like("add", "c", c, "a", a);
  const TraceSpan span(context.trace, "op/add");
  (use_reference(context, a.dtype()) ? reference::add : cpu::add)(context, a, b, c);
}

void scale(Context& context, Tensor& x, double factor) {
  check_floating("scale", "x", x);
  const TraceSpan span(context.trace, "op/scale");
  (use_reference(context, x.dtype()) ? reference::scale : cpu::scale)(context, x, factor);
}

void cast(Context& context, const Tensor& x, Tensor& y) {
  check_floating("cast", "x", x);
  check_floating("cast", "y", y);
  check_shape("cast", "y", y, x.shape());
  const TraceSpan span(context.trace, "op/cast");
  (use_reference(context, x.dtype()) || use_reference(context, y.dtype()) ? reference::cast : cpu::cast)(
      context, x, y);
}

void fill(Context& context, Tensor& x, double value) {
  check_floating("fill", "x", x);
  const TraceSpan span(context.trace, "op/fill");
  (use_reference(context, x.dtype()) ? reference::fill : cpu::fill)(context, x, value);
}

}  // namespace trireme::ops
