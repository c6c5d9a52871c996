#include "core/autograd/functions/token_loss.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"

namespace trireme {
namespace {

double first_element(const Tensor& x) {
  return x.dtype() == DType::kFloat64 ? x.data<double>()[0] : static_cast<double>(x.data<float>()[0]);
}

class ScaledLoss final : public Function {
 public:
  explicit ScaledLoss(Tensor d_hidden) : d_hidden_(std::move(d_hidden)) {}
  const char* name() const override { return "scaled_loss"; }

  std::vector<Tensor> backward(Context&, std::vector<Tensor> d_outputs) override {
    const double given = first_element(d_outputs[0]);
    if (given != 1.0)
      throw ShapeError(fmt::format(
          "scaled_loss: the gradient of the scaled loss is 1, given {}; put factors into loss_scale", given));
    return {std::move(d_hidden_)};
  }

 private:
  Tensor d_hidden_;
};

}  // namespace

std::vector<RowChunk> row_chunks(int64_t num_rows, int64_t bytes_per_row, int64_t chunk_bytes) {
  const int64_t most = std::max<int64_t>(1, chunk_bytes / bytes_per_row);
  const int64_t num_chunks = (num_rows + most - 1) / most;
  std::vector<RowChunk> chunks;
  for (int64_t i = 0; i < num_chunks; ++i) {
    const int64_t begin = num_rows * i / num_chunks;
    chunks.push_back({begin, num_rows * (i + 1) / num_chunks - begin});
  }
  return chunks;
}

int64_t count_targets(const Tensor& targets) {
  const int32_t* target = targets.data<int32_t>();
  return targets.num_elements() - std::count(target, target + targets.num_elements(), ops::kIgnoredTarget);
}

void record_scaled_loss(Context& context, TokenLoss& loss, double loss_scale, const Variable& hidden,
                        bool graph, Tensor d_hidden) {
  Tensor scaled = context.activation({1}, ops::wide_dtype(hidden.value().dtype()));
  ops::fill(context, scaled, loss.sum * loss_scale);
  loss.scaled = graph ? Function::record(context, std::make_shared<ScaledLoss>(std::move(d_hidden)), {hidden},
                                         {std::move(scaled)})[0]
                      : Variable(std::move(scaled));
}

}  // namespace trireme
