#include "parallel/functions/sum_rows.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

class SumRows final : public Function {
 public:
  explicit SumRows(RowExchange& exchange) : exchange_(exchange) {}
  const char* name() const override { return "sum_rows"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const Tensor staged = exchange_.all_rows(context, d_outputs[0]);
    if (exchange_.shard().count == 1) return {staged};
    Tensor d_x = context.activation(staged.shape(), staged.dtype());
    ops::cast(context, staged, d_x);
    return {std::move(d_x)};
  }

 private:
  RowExchange& exchange_;
};

}  // namespace

Variable sum_rows(Context& context, RowExchange& exchange, const Variable& x) {
  const Tensor& value = x.value();
  Tensor term = exchange.term(context, value.rows(), value.cols(), value.dtype());
  ops::cast(context, value, term);
  Tensor y = exchange.sum(context, term, value.dtype());
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<SumRows>(exchange), {x}, {std::move(y)})[0];
}

}  // namespace trireme
