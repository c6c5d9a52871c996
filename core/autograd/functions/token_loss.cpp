#include "core/autograd/functions/token_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/autograd/functions/support.h"
#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"
#include "core/ops/reduce.h"

namespace trireme {
namespace {

std::vector<int64_t> counted_rows(const Tensor& targets) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < targets.num_elements(); ++row)
    if (targets.data<int32_t>()[row] != ops::kIgnoredTarget) rows.push_back(row);
  return rows;
}

void copy_row(const Tensor& from, int64_t from_row, const Tensor& to, int64_t to_row) {
  const int64_t bytes = size_of(from.dtype());
  std::memcpy(to.raw() + to_row * to.row_stride() * bytes, from.raw() + from_row * from.row_stride() * bytes,
              static_cast<size_t>(from.cols() * bytes));
}

Tensor chunk_workspace(Context& context, int64_t rows, int64_t cols, DType dtype) {
  return Tensor::allocate_padded(context.allocator, {rows, cols}, dtype, MemoryCategory::kWorkspace);
}

/// The rows that the head multiplies, cut into equal chunks: all of them, or the ones that count, gathered.
class HeadRows {
 public:
  HeadRows(Context& context, const Tensor& x, const Tensor& targets, const Tensor& d_x, int64_t most)
      : context_(context), x_(x), targets_(targets), d_x_(d_x), counted_(counted_rows(targets)) {
    gathered_ = 4 * num_counted() < 3 * x.rows();
    num_rows_ = gathered_ ? num_counted() : x.rows();
    num_chunks_ = (num_rows_ + most - 1) / most;
    if (gathered_ && d_x_.defined()) ops::fill(context, d_x_, 0.0);
  }
  int64_t num_counted() const { return static_cast<int64_t>(counted_.size()); }
  int64_t num_chunks() const { return num_chunks_; }

  Tensor x(int64_t chunk) const {
    if (!gathered_) return x_.slice(0, begin(chunk), size(chunk));
    Tensor rows = chunk_workspace(context_, size(chunk), x_.cols(), x_.dtype());
    for (int64_t i = 0; i < size(chunk); ++i) copy_row(x_, counted_[begin(chunk) + i], rows, i);
    return rows;
  }
  Tensor targets(int64_t chunk) const {
    if (!gathered_) return targets_.slice(0, begin(chunk), size(chunk));
    Tensor rows = context_.workspace({size(chunk)}, DType::kInt32);
    for (int64_t i = 0; i < size(chunk); ++i)
      rows.data<int32_t>()[i] = targets_.data<int32_t>()[counted_[begin(chunk) + i]];
    return rows;
  }
  /// Where the chunk's gradient goes; hand it to put_d_x when it is there.
  Tensor d_x(int64_t chunk) const {
    return gathered_ ? chunk_workspace(context_, size(chunk), d_x_.cols(), d_x_.dtype())
                     : d_x_.slice(0, begin(chunk), size(chunk));
  }
  void put_d_x(int64_t chunk, const Tensor& rows) const {
    if (!gathered_) return;
    for (int64_t i = 0; i < size(chunk); ++i) copy_row(rows, i, d_x_, counted_[begin(chunk) + i]);
  }

 private:
  int64_t begin(int64_t chunk) const { return num_rows_ * chunk / num_chunks_; }
  int64_t size(int64_t chunk) const { return begin(chunk + 1) - begin(chunk); }

  Context& context_;
  const Tensor &x_, &targets_;
  Tensor d_x_;
  std::vector<int64_t> counted_;
  bool gathered_ = false;
  int64_t num_rows_ = 0, num_chunks_ = 0;
};

/// A gradient under way: the first chunk writes it unless something is there already.
struct GradientSum {
  Tensor* gradient = nullptr;
  bool accumulate = false;
};

/// Calls body with the gradients of weight and bias (null: no bias).
void contribute_both(Parameter& weight, Parameter* bias,
                     const std::function<void(GradientSum, GradientSum)>& body) {
  weight.expect();
  if (bias != nullptr) bias->expect();
  weight.contribute([&](Tensor& d_weight, bool accumulate) {
    if (bias == nullptr) return body({&d_weight, accumulate}, {});
    bias->contribute([&](Tensor& d_bias, bool accumulate_bias) {
      body({&d_weight, accumulate}, {&d_bias, accumulate_bias});
    });
  });
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

TokenLoss chunked_loss(Context& context, const Tensor& x, Parameter& weight, Parameter* bias,
                       const Tensor& targets, int64_t row_bytes, int64_t chunk_bytes, bool graph,
                       const Tensor& d_x, const LossOfChunk& loss_of) {
  const Tensor flat_targets = targets.reshape({x.rows()});
  const HeadRows rows(context, x, flat_targets, d_x, std::max<int64_t>(1, chunk_bytes / row_bytes));
  TokenLoss loss;
  loss.count = rows.num_counted();
  const auto run = [&](GradientSum d_weight, GradientSum d_bias) {
    for (int64_t chunk = 0; chunk < rows.num_chunks(); ++chunk) {
      const Tensor chunk_x = rows.x(chunk);
      Tensor logits = chunk_workspace(context, chunk_x.rows(), weight.shape[0], x.dtype());
      ops::gemm(context, chunk_x, weight.value, logits,
                {.transpose_b = true, .bias = bias == nullptr ? nullptr : &bias->value});
      const ChunkLoss part = loss_of(logits, rows.targets(chunk), graph);
      loss.sum += part.sum;
      loss.right += part.right;
      if (!graph) continue;
      ops::gemm(context, logits, chunk_x, *d_weight.gradient,
                {.transpose_a = true, .accumulate = std::exchange(d_weight.accumulate, true)});
      if (bias != nullptr)
        ops::column_sum(context, logits, *d_bias.gradient, std::exchange(d_bias.accumulate, true));
      if (!d_x.defined()) continue;
      Tensor d_rows = rows.d_x(chunk);
      ops::gemm(context, logits, weight.value, d_rows);
      rows.put_d_x(chunk, d_rows);
    }
    for (const GradientSum& sum : {d_weight, d_bias})  // no row counts
      if (sum.gradient != nullptr && !sum.accumulate) ops::fill(context, *sum.gradient, 0.0);
  };
  if (graph) {
    contribute_both(weight, bias, run);
  } else {
    run({}, {});
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
