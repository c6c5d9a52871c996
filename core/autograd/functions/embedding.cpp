#include "core/autograd/functions/embedding.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// y = table[ids] (+ x, when it has an input).
class Embedding final : public Function {
 public:
  Embedding(Parameter& table, Tensor ids, bool has_input, const ops::TableRange& range = {})
      : table_(table), ids_(std::move(ids)), has_input_(has_input), range_(range) {
    table.expect();
  }
  const char* name() const override { return "embedding"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    context.weight_gradients.push(context, [d_y = d_outputs[0], ids = std::move(ids_), &table = table_,
                                            range = range_](Context& context) {
      table.contribute([&](Tensor& d_table, bool accumulate) {
        ops::embedding_backward(context, d_y, ids, d_table, accumulate, range);
      });
    });
    if (!has_input_) return {};
    return {std::move(d_outputs[0])};
  }

 private:
  Parameter& table_;
  Tensor ids_;
  bool has_input_;
  ops::TableRange range_;
};

}  // namespace

Variable embedding(Context& context, Parameter& table, const Tensor& ids, const ops::TableRange& range) {
  Tensor y = context.activation({ids.num_elements(), table.shape[1]}, table.value.dtype());
  ops::embedding_forward(context, table.value, ids, y, false, range);
  if (!Function::needed(context, {}, true)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Embedding>(table, ids, false, range), {},
                          {std::move(y)})[0];
}

Variable add_embedding(Context& context, const Variable& x, Parameter& table, const Tensor& ids) {
  Tensor y = context.activation(x.value().shape(), x.value().dtype());
  ops::cast(context, x.value(), y);
  ops::embedding_forward(context, table.value, ids, y, true);
  if (!Function::needed(context, {x}, true)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<Embedding>(table, ids, true), {x}, {std::move(y)})[0];
}

}  // namespace trireme
