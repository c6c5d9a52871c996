#include "core/ops/attention.h"

#include "core/ops/attention_checks.h"
#include "core/ops/cpu/attention.h"
#include "core/ops/reference/attention.h"

namespace trireme::ops {
void attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                       const Tensor& q, const Tensor& k, const Tensor& v, Tensor& out, Tensor& log_sum_exp) {
  const TraceSpan span(context.trace, "op/attention_forward");
  const AttentionChecker check("attention_forward", shape, options, q.dtype());
  check.queries("q", q);
  check.keys("k", k);
  check.keys("v", v);
  check.queries("out", out);
  check.log_sum_exp(log_sum_exp);
  if (out.num_elements() == 0) return;
  if (use_reference(context, q.dtype())) {
    reference::attention_forward(context, shape, options, q, k, v, out, log_sum_exp);
  } else {
    cpu::attention_forward(context, shape, options, q, k, v, out, log_sum_exp);
  }
}

void attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                        const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& out,
                        const Tensor& log_sum_exp, const Tensor& d_out, Tensor& d_q, Tensor& d_k,
                        Tensor& d_v) {
  const TraceSpan span(context.trace, "op/attention_backward");
  const AttentionChecker check("attention_backward", shape, options, q.dtype());
  check.queries("q", q);
  check.keys("k", k);
  check.keys("v", v);
  check.queries("out", out);
  check.log_sum_exp(log_sum_exp);
  check.queries("d_out", d_out);
  check.queries("d_q", d_q);
  check.keys("d_k", d_k);
  check.keys("d_v", d_v);
  if (use_reference(context, q.dtype())) {
    reference::attention_backward(context, shape, options, q, k, v, out, log_sum_exp, d_out, d_q, d_k, d_v);
  } else {
    cpu::attention_backward(context, shape, options, q, k, v, out, log_sum_exp, d_out, d_q, d_k, d_v);
  }
}

}  // namespace trireme::ops
