#include "core/autograd/functions/linear_cross_entropy.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"
#include "core/ops/reduce.h"

namespace trireme {
namespace {

double first_element(const Tensor& x) {
  return x.dtype() == DType::kFloat64 ? x.data<double>()[0] : static_cast<double>(x.data<float>()[0]);
}

class LinearCrossEntropy final : public Function {
 public:
  explicit LinearCrossEntropy(Tensor d_hidden) : d_hidden_(std::move(d_hidden)) {}
  const char* name() const override { return "linear_cross_entropy"; }

  std::vector<Tensor> backward(Context&, std::vector<Tensor> d_outputs) override {
    const double given = first_element(d_outputs[0]);
    if (given != 1.0)
      throw ShapeError(fmt::format(
          "linear_cross_entropy: the gradient of the scaled loss is 1, given {}; put factors into loss_scale",
          given));
    return {std::move(d_hidden_)};
  }

 private:
  Tensor d_hidden_;
};

/// Rows [begin, begin + num_rows) of the pass.
struct Chunk {
  int64_t begin, num_rows;
};

std::vector<Chunk> chunks_of(int64_t num_rows, int64_t bytes_per_row, int64_t chunk_bytes) {
  const int64_t most = std::max<int64_t>(1, chunk_bytes / bytes_per_row);
  const int64_t num_chunks = (num_rows + most - 1) / most;
  std::vector<Chunk> chunks;
  for (int64_t i = 0; i < num_chunks; ++i) {  // equal ones: a short last chunk would be slow
    const int64_t begin = num_rows * i / num_chunks;
    chunks.push_back({begin, num_rows * (i + 1) / num_chunks - begin});
  }
  return chunks;
}

}  // namespace

TokenLoss linear_cross_entropy(Context& context, const Variable& hidden, Parameter& weight,
                               const Tensor& targets, double loss_scale, int64_t chunk_bytes) {
  const Tensor& x = hidden.value();
  const int64_t vocab_size = weight.shape[0];
  const DType master = ops::wide_dtype(x.dtype());
  const Tensor flat_targets = targets.reshape({x.rows()});
  const bool graph = Function::needed(context, {hidden}, true);
  Tensor d_hidden = graph && hidden.requires_grad() ? context.activation(x.shape(), x.dtype()) : Tensor();
  const std::vector<Chunk> chunks = chunks_of(x.rows(), vocab_size * size_of(x.dtype()), chunk_bytes);

  TokenLoss loss;
  const auto run = [&](Tensor* d_weight, bool accumulate) {
    for (const Chunk& chunk : chunks) {
      const Tensor rows = x.slice(0, chunk.begin, chunk.num_rows);
      Tensor logits = Tensor::allocate_padded(context.allocator, {chunk.num_rows, vocab_size}, x.dtype(),
                                              MemoryCategory::kWorkspace);
      Tensor losses = context.workspace({chunk.num_rows}, master);
      ops::gemm(context, rows, weight.value, logits, {.transpose_b = true});
      ops::softmax_cross_entropy(context, logits, flat_targets.slice(0, chunk.begin, chunk.num_rows), losses,
                                 d_weight == nullptr ? nullptr : &loss_scale);
      loss.sum += ops::sum(context, losses);
      if (d_weight == nullptr) continue;
      ops::gemm(context, logits, rows, *d_weight, {.transpose_a = true, .accumulate = accumulate});
      accumulate = true;
      if (!d_hidden.defined()) continue;
      Tensor d_rows = d_hidden.slice(0, chunk.begin, chunk.num_rows);
      ops::gemm(context, logits, weight.value, d_rows);
    }
  };
  if (graph) {
    weight.expect();
    weight.contribute([&](Tensor& d_weight, bool accumulate) { run(&d_weight, accumulate); });
  } else {
    run(nullptr, false);
  }
  const int32_t* target = flat_targets.data<int32_t>();
  loss.count = x.rows() - std::count(target, target + x.rows(), ops::kIgnoredTarget);

  Tensor scaled = context.activation({1}, master);
  ops::fill(context, scaled, loss.sum * loss_scale);
  loss.scaled = graph ? Function::record(context, std::make_shared<LinearCrossEntropy>(std::move(d_hidden)),
                                         {hidden}, {std::move(scaled)})[0]
                      : Variable(std::move(scaled));
  return loss;
}

}  // namespace trireme
