#include "core/ops/embedding.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {

std::vector<OpCase> embedding_cases() {
  struct Table {
    int32_t vocabulary;
    Extent rows;
    ops::TableRange range = {};  ///< ids are drawn from its vocabulary
  };
  const Table all[] = {{1, {4, 1}},
                       {5, {9, 37}},
                       {5, {9, 37}, {.begin = 3, .vocab_size = 11}},
                       {40, {300, 300, true}},
                       {14, {300, 300, true}, {.begin = 26, .vocab_size = 40}},
                       {50257, {4096, 768, true, true}}};
  std::vector<OpCase> cases;
  for (const Table& table : all)
    for (const bool accumulate : {false, true}) {
      const Shape table_shape = {table.vocabulary, table.rows.cols};
      const auto num_ids =
          static_cast<int32_t>(table.range.vocab_size == 0 ? table.vocabulary : table.range.vocab_size);
      const std::string detail = std::string(accumulate ? ", accumulate" : "") +
                                 (table.range.vocab_size == 0 ? "" : ", range of the vocabulary");
      cases.push_back(row_case(
          "embedding_forward", table.rows, 0, accumulate ? 3 : 2,
          [=](Context& context, DType dtype, DType storage, uint64_t seed) {
            Tensor weights = random_tensor(context, table_shape, dtype, storage, seed, table.rows.padded);
            Tensor ids = random_integers(context, {table.rows.rows}, 0, num_ids, seed + 1);
            Tensor out =
                random_tensor(context, table.rows.shape(), dtype, storage, seed + 2, table.rows.padded);
            return OpRun{[=](Context& run_context) mutable {
                           ops::embedding_forward(run_context, weights, ids, out, accumulate, table.range);
                         },
                         {{"out", out}}};
          },
          detail));
      cases.push_back(row_case(
          "embedding_backward", table.rows, 1, 0,
          [=](Context& context, DType dtype, DType storage, uint64_t seed) {
            const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
            Tensor d_out =
                random_tensor(context, table.rows.shape(), dtype, storage, seed, table.rows.padded);
            Tensor ids = random_integers(context, {table.rows.rows}, 0, num_ids, seed + 1);
            Tensor d_table = random_tensor(context, table_shape, DType::kFloat32, wide, seed + 2);
            OpRun run{[=](Context& run_context) mutable {
                        ops::embedding_backward(run_context, d_out, ids, d_table, accumulate, table.range);
                      },
                      {{"d_table", d_table}}};
            // Read and write what the ids touch; clear the table where it is not added to.
            run.bytes = static_cast<double>(d_out.num_bytes() + 2 * d_out.num_elements() * size_of(wide) +
                                            (accumulate ? 0 : d_table.num_bytes()));
            return run;
          },
          detail));
    }
  return cases;
}

}  // namespace trireme::testing
