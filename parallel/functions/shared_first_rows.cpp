#include "parallel/functions/shared_first_rows.h"

#include "core/ops/elementwise.h"

namespace trireme {
namespace {

/// Calls copy(sample, row of the shard) for the first rows that the shard holds.
template <class Copy>
void for_each_first(int64_t num_rows, const nn::RowShard& shard, int64_t n, const Copy& copy) {
  const int64_t begin = shard.index * num_rows, end = begin + num_rows;
  for (int64_t sample = (begin + n - 1) / n; sample * n < end; ++sample) copy(sample, sample * n - begin);
}

class SharedFirstRows final : public Function {
 public:
  SharedFirstRows(Shape shape, const nn::RowShard& shard, int64_t n)
      : shape_(std::move(shape)), shard_(shard), n_(n) {}
  const char* name() const override { return "shared_first_rows"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_x = context.activation(shape_, d_outputs[0].dtype());
    ops::fill(context, d_x, 0.0);
    for_each_first(d_x.rows(), shard_, n_, [&](int64_t sample, int64_t row) {
      Tensor to = d_x.slice(0, row, 1);
      ops::cast(context, d_outputs[0].slice(0, sample, 1), to);
    });
    return {std::move(d_x)};
  }

 private:
  Shape shape_;
  nn::RowShard shard_;
  int64_t n_;
};

}  // namespace

Variable shared_first_rows(Context& context, RowExchange& exchange, const Variable& x,
                           const nn::RowShard& shard, int64_t n) {
  const Tensor& from = x.value();
  Tensor term = exchange.term(context, from.rows() * shard.count / n, from.cols(), from.dtype());
  ops::fill(context, term, 0.0);
  for_each_first(from.rows(), shard, n, [&](int64_t sample, int64_t row) {
    Tensor to = term.slice(0, sample, 1);
    ops::cast(context, from.slice(0, row, 1), to);
  });
  Tensor y = exchange.sum(context, term, from.dtype());
  if (!Function::needed(context, {x}, false)) return Variable(std::move(y));
  return Function::record(context, std::make_shared<SharedFirstRows>(from.shape(), shard, n), {x},
                          {std::move(y)})[0];
}

}  // namespace trireme
