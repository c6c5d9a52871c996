#include "core/ops/scored_attention.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>

#include "core/ops/attention_checks.h"
#include "core/ops/cpu/scored_attention.h"
#include "core/ops/reference/scored_attention.h"

namespace trireme::ops {
namespace {

/// A tensor of the terms and, in backward, its gradient.
class TermChecker {
 public:
  TermChecker(const char* op, DType dtype, bool has_gradients)
      : op_(op), dtype_(dtype), has_gradients_(has_gradients) {}

  void table(const char* argument, const Tensor& tensor, const Tensor& gradient, const Shape& shape) const {
    if (has_gradients_ && gradient.defined() != tensor.defined())
      throw_shape_error(op_, argument,
                        gradient.defined() ? "has a gradient without a tensor" : "lacks a gradient",
                        "both or neither");
    if (!tensor.defined()) return;
    check_shape(op_, argument, tensor, shape);
    check_dtype(op_, argument, tensor, dtype_);
    if (!has_gradients_) return;
    check_shape(op_, argument, gradient, shape);
    check_dtype(op_, argument, gradient, wide_dtype(dtype_));
    check_contiguous(op_, argument, gradient);
  }

  /// [2k + 1, head_dim].
  void clipped(const char* argument, const Tensor& tensor, const Tensor& gradient, int64_t head_dim) const {
    if (tensor.defined() && (tensor.dim() != 2 || tensor.size(0) % 2 == 0))
      throw_shape_error(op_, argument, "has shape " + to_string(tensor.shape()),
                        fmt::format("[2k + 1, {}]", head_dim));
    table(argument, tensor, gradient, {tensor.defined() ? tensor.size(0) : 0, head_dim});
  }

  void refuse_unless(bool condition, const char* argument, const char* given, const char* expected) const {
    if (!condition) throw_shape_error(op_, argument, given, expected);
  }

 private:
  const char* op_;
  DType dtype_;
  bool has_gradients_;
};

void check_terms(const char* op, const AttentionShape& shape, const ScoreTerms& terms, DType dtype,
                 const ScoreTermGradients* gradients) {
  const ScoreTermGradients none;
  const ScoreTermGradients& d = gradients == nullptr ? none : *gradients;
  const TermChecker check(op, dtype, gradients != nullptr);
  const int64_t H = shape.num_heads, K = shape.head_dim;
  check.clipped("relative_keys", terms.relative_keys, d.relative_keys, K);
  check.clipped("relative_values", terms.relative_values, d.relative_values, K);
  check.table("distances", terms.distances, d.distances, {shape.query_length + shape.key_length - 1, H * K});
  check.table("content_bias", terms.content_bias, d.content_bias, {H, K});
  check.table("position_bias", terms.position_bias, d.position_bias, {H, K});
  check.table("additive", terms.additive, d.additive, {H, K});
  const bool all = terms.distances.defined();
  check.refuse_unless(terms.content_bias.defined() == all && terms.position_bias.defined() == all,
                      "distances", "is given without both biases, or they without it", "all three or none");
  check.refuse_unless(!terms.additive.defined() || (!all && !terms.relative_keys.defined()), "additive",
                      "is given beside terms that multiply queries and keys", "one kind of score");
  if (!terms.slopes.empty() && static_cast<int64_t>(terms.slopes.size()) != H)
    throw_shape_error(op, "slopes", fmt::format("has {} elements", terms.slopes.size()),
                      fmt::format("{}, one a head", H));
}

void check_probabilities(const char* op, const char* argument, const AttentionShape& shape,
                         const Tensor& tensor, DType dtype) {
  check_shape(op, argument, tensor,
              {shape.num_samples, shape.num_heads, shape.query_length, shape.key_length});
  check_dtype(op, argument, tensor, wide_dtype(dtype));
  check_contiguous(op, argument, tensor);
}

}  // namespace

std::vector<double> alibi_slopes(int64_t num_heads, int64_t begin, int64_t count) {
  const auto power = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(num_heads)));
  std::vector<double> slopes;
  for (int64_t head = begin; head < begin + count; ++head) {
    const double fraction =
        head < power ? static_cast<double>(head + 1) / static_cast<double>(power)
                     : static_cast<double>(2 * (head - power) + 1) / static_cast<double>(2 * power);
    slopes.push_back(std::exp2(-8.0 * fraction));
  }
  return slopes;
}

void scored_attention_forward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                              const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                              Tensor& out, Tensor& probabilities) {
  constexpr const char* kOp = "scored_attention_forward";
  const TraceSpan span(context.trace, "op/scored_attention_forward");
  const AttentionChecker check(kOp, shape, options, q.dtype());
  check.queries("q", q);
  check.keys("k", k);
  check.keys("v", v);
  check.queries("out", out);
  check_probabilities(kOp, "probabilities", shape, probabilities, q.dtype());
  check_terms(kOp, shape, terms, q.dtype(), nullptr);
  if (out.num_elements() == 0) return;
  (use_reference(context, q.dtype()) ? reference::scored_attention_forward : cpu::scored_attention_forward)(
      context, shape, options, terms, q, k, v, out, probabilities);
}

void scored_attention_backward(Context& context, const AttentionShape& shape, const AttentionOptions& options,
                               const ScoreTerms& terms, const Tensor& q, const Tensor& k, const Tensor& v,
                               const Tensor& probabilities, const Tensor& d_out,
                               const Tensor& d_probabilities, Tensor& d_q, Tensor& d_k, Tensor& d_v,
                               ScoreTermGradients& d_terms) {
  constexpr const char* kOp = "scored_attention_backward";
  const TraceSpan span(context.trace, "op/scored_attention_backward");
  const AttentionChecker check(kOp, shape, options, q.dtype());
  check.queries("q", q);
  check.keys("k", k);
  check.keys("v", v);
  check_probabilities(kOp, "probabilities", shape, probabilities, q.dtype());
  check.queries("d_out", d_out);
  if (d_probabilities.defined())
    check_probabilities(kOp, "d_probabilities", shape, d_probabilities, q.dtype());
  check.queries("d_q", d_q);
  check.keys("d_k", d_k);
  check.keys("d_v", d_v);
  check_terms(kOp, shape, terms, q.dtype(), &d_terms);
  (use_reference(context, q.dtype()) ? reference::scored_attention_backward : cpu::scored_attention_backward)(
      context, shape, options, terms, q, k, v, probabilities, d_out, d_probabilities, d_q, d_k, d_v, d_terms);
}

}  // namespace trireme::ops
