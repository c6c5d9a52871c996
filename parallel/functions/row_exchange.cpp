#include "parallel/functions/row_exchange.h"

#include <fmt/format.h>

#include "core/base/error.h"
#include "core/ops/elementwise.h"

namespace trireme {

namespace {

/// Staged rows with their padding: collectives take contiguous tensors.
Tensor with_padding(const Tensor& staged) {
  return Tensor::view_of(staged.storage(), staged.byte_offset(), {staged.rows(), staged.row_stride()},
                         staged.dtype());
}

}  // namespace

nn::RowShard RowExchange::shard() const {
  return sharded_ ? nn::RowShard{rank(), size()} : nn::RowShard{};
}

/// Grown by every rank in the same call, since all ask for the same shapes: `allocate` is collective.
Tensor RowExchange::staged(Context& context, Slot slot, const Shape& shape, DType dtype) {
  std::shared_ptr<Storage>& memory = memory_[slot];
  const int64_t stride = padded_row_stride(shape.back(), dtype);
  const int64_t bytes = num_elements(shape) / shape.back() * stride * size_of(dtype);
  if (!memory || memory->size() < bytes) memory = group_.allocate(context, bytes, MemoryCategory::kWorkspace);
  return Tensor::view_of(memory, 0, shape, dtype, stride);
}

Tensor RowExchange::term(Context& context, int64_t rows, int64_t cols, DType dtype) {
  return staged(context, kTerm, {rows, cols}, dtype);
}

RowSum RowExchange::start_sum(const Tensor& term) {
  if (!sharded_) return {group_.all_reduce_async(with_padding(term), ReduceOp::kSum), term};
  if (term.rows() % size() != 0)
    throw ShapeError(fmt::format(
        "sequence parallelism: {} tokens of a micro-batch do not divide over {} tensor ranks ({} % {} = {})",
        term.rows(), size(), term.rows(), size(), term.rows() % size()));
  const int64_t rows = term.rows() / size();
  const Tensor mine = term.slice(0, rank() * rows, rows);
  return {group_.reduce_scatter_async(with_padding(term), with_padding(mine), ReduceOp::kSum), mine};
}

Tensor RowExchange::finish_sum(Context& context, RowSum& sum, DType dtype) {
  sum.work->wait();
  Tensor result = context.activation(sum.result.shape(), dtype);
  ops::cast(context, sum.result, result);
  return result;
}

Tensor RowExchange::sum(Context& context, const Tensor& term, DType dtype) {
  RowSum sum = start_sum(term);
  return finish_sum(context, sum, dtype);
}

Tensor RowExchange::all_rows(Context& context, const Tensor& mine) {
  if (!sharded_) return mine;
  const Tensor all = staged(context, kRows, {mine.rows() * size(), mine.cols()}, mine.dtype());
  Tensor part = all.slice(0, rank() * mine.rows(), mine.rows());
  ops::cast(context, mine, part);
  group_.all_gather(with_padding(part), with_padding(all));
  return all;
}

Tensor RowExchange::statistics(Context& context, int64_t count, DType dtype) {
  return staged(context, kStatistics, {count}, dtype);
}

}  // namespace trireme
