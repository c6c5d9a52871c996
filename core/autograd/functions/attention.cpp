#include "core/autograd/functions/attention.h"

#include "core/ops/checks.h"

namespace trireme {
namespace {

class Attention final : public Function {
 public:
  Attention(const AttentionArguments& arguments, Tensor qkv, Tensor out, Tensor log_sum_exp)
      : arguments_(arguments),
        qkv_(std::move(qkv)),
        out_(std::move(out)),
        log_sum_exp_(std::move(log_sum_exp)) {}
  const char* name() const override { return "attention"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_qkv = context.activation(qkv_.shape(), qkv_.dtype());
    const PackedSlices in = packed_slices(arguments_.shape, qkv_);
    PackedSlices d_in = packed_slices(arguments_.shape, d_qkv);
    ops::attention_backward(context, arguments_.shape, arguments_.options, in.query, in.key, in.value, out_,
                            log_sum_exp_, d_outputs[0], d_in.query, d_in.key, d_in.value);
    rotate_packed(context, arguments_, d_qkv, true);
    qkv_ = out_ = log_sum_exp_ = Tensor();
    return {std::move(d_qkv)};
  }

 private:
  AttentionArguments arguments_;
  Tensor qkv_, out_, log_sum_exp_;
};

}  // namespace

PackedSlices packed_slices(const ops::AttentionShape& shape, const Tensor& qkv) {
  const int64_t query_cols = shape.num_heads * shape.head_dim;
  const int64_t key_cols = shape.num_query_groups * shape.head_dim;
  return {qkv.slice(-1, 0, query_cols), qkv.slice(-1, query_cols, key_cols),
          qkv.slice(-1, query_cols + key_cols, key_cols)};
}

void rotate_packed(Context& context, const AttentionArguments& arguments, const Tensor& qkv, bool inverse) {
  if (!arguments.rotary) return;
  ops::RotaryOptions rotary = *arguments.rotary;  // query and key heads lie side by side: one call
  rotary.num_heads = arguments.shape.num_heads + arguments.shape.num_query_groups;
  rotary.head_dim = arguments.shape.head_dim;
  Tensor heads = qkv.slice(-1, 0, rotary.num_heads * rotary.head_dim);
  ops::rotary(context, rotary, arguments.positions, heads, inverse);
}

Variable attention(Context& context, const Variable& qkv, const AttentionArguments& arguments) {
  const ops::AttentionShape& shape = arguments.shape;
  const DType type = qkv.value().dtype();
  rotate_packed(context, arguments, qkv.value(), false);
  const PackedSlices in = packed_slices(shape, qkv.value());
  Tensor out = context.activation(in.query.shape(), type);
  Tensor log_sum_exp =
      Tensor::allocate(context.allocator, {shape.num_samples, shape.num_heads, shape.query_length},
                       ops::wide_dtype(type), MemoryCategory::kActivations);
  ops::attention_forward(context, shape, arguments.options, in.query, in.key, in.value, out, log_sum_exp);
  if (!Function::needed(context, {qkv}, false)) return Variable(std::move(out));
  auto node = std::make_shared<Attention>(arguments, qkv.value(), out, std::move(log_sum_exp));
  return Function::record(context, std::move(node), {qkv}, {std::move(out)})[0];
}

}  // namespace trireme
