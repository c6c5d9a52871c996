#include "core/autograd/functions/cross_attention.h"

#include "core/ops/checks.h"

namespace trireme {
namespace {

struct KeyValueSlices {
  KeyValueSlices(const ops::AttentionShape& shape, const Tensor& packed)
      : key(packed.slice(-1, 0, shape.num_query_groups * shape.head_dim)),
        value(packed.slice(-1, shape.num_query_groups * shape.head_dim,
                           shape.num_query_groups * shape.head_dim)) {}
  Tensor key, value;
};

class CrossAttention final : public Function {
 public:
  CrossAttention(const ops::AttentionShape& shape, const ops::AttentionOptions& options, Tensor query,
                 Tensor key_value, Tensor out, Tensor log_sum_exp)
      : shape_(shape),
        options_(options),
        query_(std::move(query)),
        key_value_(std::move(key_value)),
        out_(std::move(out)),
        log_sum_exp_(std::move(log_sum_exp)) {}
  const char* name() const override { return "cross_attention"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_query = context.activation(query_.shape(), query_.dtype());
    Tensor d_key_value = context.activation(key_value_.shape(), key_value_.dtype());
    const KeyValueSlices in(shape_, key_value_);
    KeyValueSlices d_in(shape_, d_key_value);
    ops::attention_backward(context, shape_, options_, query_, in.key, in.value, out_, log_sum_exp_,
                            d_outputs[0], d_query, d_in.key, d_in.value);
    query_ = key_value_ = out_ = log_sum_exp_ = Tensor();
    return {std::move(d_query), std::move(d_key_value)};
  }

 private:
  ops::AttentionShape shape_;
  ops::AttentionOptions options_;
  Tensor query_, key_value_, out_, log_sum_exp_;
};

}  // namespace

Variable cross_attention(Context& context, const Variable& query, const Variable& key_value,
                         const ops::AttentionShape& shape, const ops::AttentionOptions& options) {
  const Tensor& q = query.value();
  const KeyValueSlices in(shape, key_value.value());
  Tensor out = context.activation(q.shape(), q.dtype());
  Tensor log_sum_exp =
      Tensor::allocate(context.allocator, {shape.num_samples, shape.num_heads, shape.query_length},
                       ops::wide_dtype(q.dtype()), MemoryCategory::kActivations);
  ops::attention_forward(context, shape, options, q, in.key, in.value, out, log_sum_exp);
  if (!Function::needed(context, {query, key_value}, false)) return Variable(std::move(out));
  auto node =
      std::make_shared<CrossAttention>(shape, options, q, key_value.value(), out, std::move(log_sum_exp));
  return Function::record(context, std::move(node), {query, key_value}, {std::move(out)})[0];
}

}  // namespace trireme
