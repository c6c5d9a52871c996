#include "core/ops/embedding.h"

#include <fmt/format.h>

#include "core/ops/checks.h"
#include "core/ops/cpu/embedding.h"
#include "core/ops/reference/embedding.h"

namespace trireme::ops {
namespace {

void check_arguments(const char* op, const char* table_name, const Tensor& table, const Tensor& ids,
                     const char* rows_name, const Tensor& rows, const TableRange& range) {
  check_floating(op, table_name, table);
  if (table.dim() != 2)
    throw_shape_error(op, table_name, "has shape " + to_string(table.shape()), "[vocabulary, features]");
  check_dtype(op, "ids", ids, DType::kInt32);
  check_floating(op, rows_name, rows);
  if (rows.num_elements() != ids.num_elements() * table.cols() || rows.cols() != table.cols())
    throw_shape_error(op, rows_name, "has shape " + to_string(rows.shape()),
                      fmt::format("{} rows of {}", ids.num_elements(), table.cols()));
  const int64_t vocabulary = range.vocab_size == 0 ? table.size(0) : range.vocab_size;
  if (range.begin < 0 || range.begin + table.size(0) > vocabulary)
    throw_shape_error(op, table_name,
                      fmt::format("holds rows [{}, {})", range.begin, range.begin + table.size(0)),
                      fmt::format("a range inside the vocabulary [0, {})", vocabulary));
  for (int64_t i = 0; i < ids.rows(); ++i)
    for (int64_t j = 0; j < ids.cols(); ++j)
      if (const int64_t id = ids.row<int32_t>(i)[j]; id < kNoRow || id >= vocabulary)
        throw DataError(
            fmt::format("{}: id {} at position {} is outside the vocabulary [0, {}); the data set "
                        "and the model use different tokenizers",
                        op, id, i * ids.cols() + j, vocabulary));
}

}  // namespace

void embedding_forward(Context& context, const Tensor& table, const Tensor& ids, Tensor& out, bool accumulate,
                       const TableRange& range) {
  check_arguments("embedding_forward", "table", table, ids, "out", out, range);
  check_dtype("embedding_forward", "out", out, table.dtype());
  const TraceSpan span(context.trace, "op/embedding_forward");
  (use_reference(context, table.dtype()) ? reference::embedding_forward : cpu::embedding_forward)(
      context, table, ids, out, accumulate, range.begin);
}

void embedding_backward(Context& context, const Tensor& d_out, const Tensor& ids, Tensor& d_table,
                        bool accumulate, const TableRange& range) {
  check_arguments("embedding_backward", "d_table", d_table, ids, "d_out", d_out, range);
  check_dtype("embedding_backward", "d_table", d_table, wide_dtype(d_out.dtype()));
  const TraceSpan span(context.trace, "op/embedding_backward");
  (use_reference(context, d_out.dtype()) ? reference::embedding_backward : cpu::embedding_backward)(
      context, d_out, ids, d_table, accumulate, range.begin);
}

}  // namespace trireme::ops
