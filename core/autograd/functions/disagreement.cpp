#include "core/autograd/functions/disagreement.h"

#include "core/autograd/functions/support.h"
#include "core/ops/checks.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"

namespace trireme {
namespace {

/// The gradient of a sum, for each of its terms; heads with copies share theirs.
Tensor spread(Context& context, const Tensor& d_sum, int64_t count, const HeadsOfAllRanks& all) {
  Tensor d_values = context.workspace({count}, DType::kFloat64);
  ops::fill(context, d_values, first_element(d_sum) / all.num_copies);
  return d_values;
}

/// From this rank's sums to those of all ranks.
void add_up(Context& context, Tensor& sums, const HeadsOfAllRanks& all) {
  if (!all.add_up) return;
  ops::scale(context, sums, 1.0 / all.num_copies);
  all.add_up(sums);
}

HeadsOfAllRanks completed(HeadsOfAllRanks all, int64_t num_heads) {
  if (all.num_heads == 0) all.num_heads = num_heads;
  return all;
}

class HeadDisagreement final : public Function {
 public:
  HeadDisagreement(Tensor x, const HeadColumns& columns, Tensor sums, Tensor counted,
                   const HeadsOfAllRanks& all)
      : x_(std::move(x)),
        columns_(columns),
        sums_(std::move(sums)),
        counted_(std::move(counted)),
        all_(all) {}
  const char* name() const override { return "head_disagreement"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    const int64_t width = columns_.num_heads * columns_.head_dim;
    Tensor d_x = context.activation(x_.shape(), x_.dtype());
    if (width != x_.cols()) ops::fill(context, d_x, 0.0);
    Tensor d_heads = d_x.slice(-1, columns_.first_column, width);
    ops::head_disagreement_backward(context, all_.num_heads, x_.slice(-1, columns_.first_column, width),
                                    sums_, counted_,
                                    spread(context, d_outputs[0], columns_.num_samples, all_), d_heads);
    x_ = sums_ = Tensor();
    return {std::move(d_x)};
  }

 private:
  Tensor x_;
  HeadColumns columns_;
  Tensor sums_, counted_;
  HeadsOfAllRanks all_;
};

class MapDisagreement final : public Function {
 public:
  MapDisagreement(const Tensor& probabilities, Tensor sums, Tensor counted, const HeadsOfAllRanks& all)
      : shape_(probabilities.shape()),
        dtype_(probabilities.dtype()),
        sums_(std::move(sums)),
        counted_(std::move(counted)),
        all_(all) {}
  const char* name() const override { return "map_disagreement"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_probabilities =
        Tensor::allocate(context.allocator, shape_, dtype_, MemoryCategory::kActivations);
    ops::map_disagreement_backward(context, all_.num_heads, sums_, counted_,
                                   spread(context, d_outputs[0], shape_[0], all_), d_probabilities);
    sums_ = Tensor();
    return {std::move(d_probabilities)};
  }

 private:
  Shape shape_;
  DType dtype_;
  Tensor sums_, counted_;
  HeadsOfAllRanks all_;
};

class Joined final : public Function {
 public:
  Joined(DType dtype_of_term, double weight) : dtype_(dtype_of_term), weight_(weight) {}
  const char* name() const override { return "joined"; }

  std::vector<Tensor> backward(Context& context, std::vector<Tensor> d_outputs) override {
    Tensor d_term = context.workspace({1}, dtype_);
    ops::fill(context, d_term, weight_);
    return {std::move(d_outputs[0]), std::move(d_term)};
  }

 private:
  DType dtype_;
  double weight_;
};

/// The values of all samples added up.
Tensor total_of(Context& context, int64_t num_samples, int64_t num_heads, const Tensor& sums,
                const Tensor& counted, ops::OverRows over_rows, DType dtype) {
  Tensor values = context.workspace({num_samples}, DType::kFloat64);
  ops::disagreement_forward(context, num_heads, sums, counted, over_rows, values);
  Tensor total = context.activation({1}, ops::wide_dtype(dtype));
  ops::fill(context, total, ops::sum(context, values));
  return total;
}

Tensor room_for_sums(Context& context, int64_t rows, int64_t cols) {
  return Tensor::allocate(context.allocator, {rows, cols}, DType::kFloat64, MemoryCategory::kActivations);
}

}  // namespace

Variable head_disagreement(Context& context, const Variable& x, const HeadColumns& columns,
                           const Tensor& counted, const HeadsOfAllRanks& ranks) {
  const HeadsOfAllRanks all = completed(ranks, columns.num_heads);
  const Tensor& value = x.value();
  Tensor sums = room_for_sums(context, value.rows(), columns.head_dim);
  ops::head_disagreement_sums(context, columns.num_heads,
                              value.slice(-1, columns.first_column, columns.num_heads * columns.head_dim),
                              sums);
  add_up(context, sums, all);
  Tensor total = total_of(context, columns.num_samples, all.num_heads, sums, counted, ops::OverRows::kMean,
                          value.dtype());
  if (!Function::needed(context, {x}, false)) return Variable(std::move(total));
  auto node = std::make_shared<HeadDisagreement>(value, columns, std::move(sums), counted, all);
  return Function::record(context, std::move(node), {x}, {std::move(total)})[0];
}

Variable map_disagreement(Context& context, const Variable& probabilities, const Tensor& counted,
                          const HeadsOfAllRanks& ranks) {
  const Tensor& value = probabilities.value();
  const HeadsOfAllRanks all = completed(ranks, value.size(1));
  Tensor sums = room_for_sums(context, value.size(0) * value.size(2), value.size(3));
  ops::map_disagreement_sums(context, value, sums);
  add_up(context, sums, all);
  Tensor total =
      total_of(context, value.size(0), all.num_heads, sums, counted, ops::OverRows::kSum, value.dtype());
  if (!Function::needed(context, {probabilities}, false)) return Variable(std::move(total));
  auto node = std::make_shared<MapDisagreement>(value, std::move(sums), counted, all);
  return Function::record(context, std::move(node), {probabilities}, {std::move(total)})[0];
}

Variable joined(Context& context, const Variable& x, const Variable& term, double weight) {
  if (!Function::needed(context, {x, term}, false)) return x;
  auto node = std::make_shared<Joined>(term.value().dtype(), weight);
  return Function::record(context, std::move(node), {x, term}, {x.value()})[0];
}

}  // namespace trireme
