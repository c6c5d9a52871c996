#include "core/autograd/functions/attention.h"

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

class Attention final : public Function {
 public:
  Attention(const AttentionArguments& arguments, AttentionProjections projections, Tensor out,
            Tensor log_sum_exp)
      : arguments_(arguments),
        projections_(std::move(projections)),
        out_(std::move(out)),
        log_sum_exp_(std::move(log_sum_exp)) {}
  const char* name() const override { return "attention"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const ops::AttentionShape& shape = arguments_.shape;
    AttentionProjections gradients = projections_.gradients(context, shape);
    const PackedSlices in = projections_.slices(shape);
    PackedSlices d_in = gradients.slices(shape);
    ops::attention_backward(context, shape, arguments_.options, in.query, in.key, in.value, out_,
                            log_sum_exp_, d_outputs[0], d_in.query, d_in.key, d_in.value);
    projections_ = AttentionProjections();
    out_ = log_sum_exp_ = Tensor();
    std::vector<Tensor> d_inputs = gradients.take(context, shape);
    gradients.rotate(context, arguments_, true);
    return d_inputs;
  }

 private:
  AttentionArguments arguments_;
  AttentionProjections projections_;
  Tensor out_, log_sum_exp_;
};

void rotate_columns(Context& context, const AttentionArguments& arguments, const Tensor& packed,
                    int64_t num_heads, bool inverse) {
  ops::RotaryOptions rotary = *arguments.rotary;  // query and key heads lie side by side: one call
  rotary.num_heads = num_heads;
  rotary.head_dim = arguments.shape.head_dim;
  Tensor heads = packed.slice(-1, 0, rotary.num_heads * rotary.head_dim);
  ops::rotary(context, rotary, arguments.positions, heads, inverse);
}

}  // namespace

PackedSlices packed_slices(const ops::AttentionShape& shape, const Tensor& qkv) {
  const int64_t query_cols = shape.num_heads * shape.head_dim;
  const int64_t key_cols = shape.num_query_groups * shape.head_dim;
  return {qkv.slice(-1, 0, query_cols), qkv.slice(-1, query_cols, key_cols),
          qkv.slice(-1, query_cols + key_cols, key_cols)};
}

AttentionProjections::AttentionProjections(const AttentionInputs& inputs) : shared_(inputs.shared()) {
  for (const Variable& variable : inputs.variables()) tensors_.push_back(variable.value());
}

AttentionProjections AttentionProjections::gradients(Context& context,
                                                     const ops::AttentionShape& shape) const {
  AttentionProjections result;
  result.shared_ = shared_;
  for (const Tensor& tensor : tensors_)
    result.tensors_.push_back(context.activation(tensor.shape(), tensor.dtype()));
  if (shared_)
    result.own_queries_ =
        context.activation({tensors_[0].rows(), shape.num_heads * shape.head_dim}, tensors_[0].dtype());
  return result;
}

PackedSlices AttentionProjections::slices(const ops::AttentionShape& shape) const {
  const int64_t query_cols = shape.num_heads * shape.head_dim;
  const int64_t key_cols = shape.num_query_groups * shape.head_dim;
  if (tensors_.size() == 3) return {tensors_[0], tensors_[1], tensors_[2]};
  if (tensors_.size() == 2)
    return {tensors_[0], tensors_[1].slice(-1, 0, key_cols), tensors_[1].slice(-1, key_cols, key_cols)};
  if (!shared_) return packed_slices(shape, tensors_[0]);
  const Tensor shared = tensors_[0].slice(-1, 0, query_cols);
  return {own_queries_.defined() ? own_queries_ : shared, shared,
          tensors_[0].slice(-1, query_cols, key_cols)};
}

std::vector<Tensor> AttentionProjections::take(Context& context, const ops::AttentionShape& shape) {
  if (shared_) {
    Tensor shared = slices(shape).key;
    ops::add(context, shared, own_queries_, shared);
    own_queries_ = Tensor();
  }
  return tensors_;
}

void AttentionProjections::rotate(Context& context, const AttentionArguments& arguments, bool inverse) const {
  if (!arguments.rotary) return;
  if (tensors_.size() > 1)
    throw ConfigError(
        "attention: rotary positions need queries and keys of one sequence; given cross-attention");
  const ops::AttentionShape& shape = arguments.shape;
  rotate_columns(context, arguments, tensors_[0],
                 shared_ ? shape.num_heads : shape.num_heads + shape.num_query_groups, inverse);
}

Variable attention(Context& context, const AttentionInputs& inputs, const AttentionArguments& arguments) {
  const ops::AttentionShape& shape = arguments.shape;
  AttentionProjections projections(inputs);
  projections.rotate(context, arguments, false);
  const PackedSlices in = projections.slices(shape);
  const DType type = in.query.dtype();
  Tensor out = context.activation(in.query.shape(), type);
  Tensor log_sum_exp =
      Tensor::allocate(context.allocator, {shape.num_samples, shape.num_heads, shape.query_length},
                       ops::wide_dtype(type), MemoryCategory::kActivations);
  ops::attention_forward(context, shape, arguments.options, in.query, in.key, in.value, out, log_sum_exp);
  if (!Function::needed(context, inputs.variables(), false)) return Variable(std::move(out));
  auto node = std::make_shared<Attention>(arguments, std::move(projections), out, std::move(log_sum_exp));
  return Function::record(context, std::move(node), inputs.variables(), {std::move(out)})[0];
}

}  // namespace trireme
