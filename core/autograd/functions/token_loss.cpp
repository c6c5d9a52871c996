#include "core/autograd/functions/token_loss.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"

namespace trireme {
namespace {

double first_element(const Tensor& x) {
  return x.dtype() == DType::kFloat64 ? x.data<double>()[0] : static_cast<double>(x.data<float>()[0]);
}

int64_t count_targets(const Tensor& targets) {
  const int32_t* target = targets.data<int32_t>();
  return targets.num_elements() - std::count(target, target + targets.num_elements(), ops::kIgnoredTarget);
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

TokenLoss chunked_loss(Context& context, const Tensor& x, Parameter& weight, const Tensor& targets,
                       int64_t row_bytes, int64_t chunk_bytes, bool graph, const Tensor& d_x,
                       const ChunkLoss& loss_of) {
  const Tensor flat_targets = targets.reshape({x.rows()});
  const int64_t most = std::max<int64_t>(1, chunk_bytes / row_bytes);
  const int64_t num_chunks = (x.rows() + most - 1) / most;

  TokenLoss loss;
  loss.count = count_targets(flat_targets);
  const auto run = [&](Tensor* d_weight, bool accumulate) {
    for (int64_t chunk = 0; chunk < num_chunks; ++chunk) {
      const int64_t begin = x.rows() * chunk / num_chunks;
      const int64_t num_rows = x.rows() * (chunk + 1) / num_chunks - begin;
      const Tensor rows = x.slice(0, begin, num_rows);
      Tensor logits = Tensor::allocate_padded(context.allocator, {num_rows, weight.shape[0]}, x.dtype(),
                                              MemoryCategory::kWorkspace);
      ops::gemm(context, rows, weight.value, logits, {.transpose_b = true});
      loss.sum += loss_of(logits, flat_targets.slice(0, begin, num_rows), d_weight != nullptr);
      if (d_weight == nullptr) continue;
      ops::gemm(context, logits, rows, *d_weight, {.transpose_a = true, .accumulate = accumulate});
      accumulate = true;
      if (!d_x.defined()) continue;
      Tensor d_rows = d_x.slice(0, begin, num_rows);
      ops::gemm(context, logits, weight.value, d_rows);
    }
  };
  if (graph) {
    weight.expect();
    weight.contribute([&](Tensor& d_weight, bool accumulate) { run(&d_weight, accumulate); });
  } else {
    run(nullptr, false);
  }
  return loss;
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
