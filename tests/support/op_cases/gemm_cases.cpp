#include "core/ops/gemm.h"

#include <fmt/format.h>

#include "tests/support/op_cases/op_cases.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

enum class Rows { kDense, kPadded, kSliced };  ///< sliced: columns of a wider tensor

struct GemmCase {
  int64_t m, n, k;
  bool transpose_a = false, transpose_b = false;
  bool accumulate = false;
  bool bias = false;
  bool wide_result = false;  ///< float32 from 16-bit inputs
  Rows rows = Rows::kPadded;
  bool benchmark = false;

  std::string text() const {
    static constexpr const char* kRows[] = {"dense rows", "padded rows", "column slices"};
    return fmt::format("{} x {} x {}, {}{}{}{}{}{}", m, n, k, kRows[static_cast<int>(rows)],
                       transpose_a ? ", a transposed" : "", transpose_b ? ", b transposed" : "",
                       accumulate ? ", accumulate" : "", bias ? ", bias" : "",
                       wide_result ? ", float32 result" : "");
  }
};

Tensor matrix(Context& context, Rows layout, int64_t rows, int64_t cols, DType dtype, DType storage,
              uint64_t seed) {
  if (layout != Rows::kSliced)
    return random_tensor(context, {rows, cols}, dtype, storage, seed, layout == Rows::kPadded);
  return random_tensor(context, {rows, cols + 5}, dtype, storage, seed).slice(1, 3, cols);
}

OpRun build(const GemmCase& gemm, Context& context, DType dtype, DType storage, uint64_t seed) {
  const auto [m, n, k] = std::tuple(gemm.m, gemm.n, gemm.k);
  const DType c_dtype = gemm.wide_result ? DType::kFloat32 : dtype;
  const DType c_storage = storage == DType::kFloat64 ? storage : c_dtype;
  const Tensor a =
      matrix(context, gemm.rows, gemm.transpose_a ? k : m, gemm.transpose_a ? m : k, dtype, storage, seed);
  const Tensor b = matrix(context, gemm.rows, gemm.transpose_b ? n : k, gemm.transpose_b ? k : n, dtype,
                          storage, seed + 1);
  const Tensor c = matrix(context, gemm.rows, m, n, c_dtype, c_storage, seed + 2);
  const Tensor bias = random_tensor(context, {n}, dtype, storage, seed + 3);
  OpRun run;
  run.run = [=](Context& run_context) {
    Tensor result = c;
    ops::gemm(run_context, a, b, result,
              {gemm.transpose_a, gemm.transpose_b, gemm.accumulate, gemm.bias ? &bias : nullptr});
  };
  run.outputs = {{"c", c}};
  if (gemm.wide_result) run.outputs[0].tolerance_factor = float32_factor(dtype);
  run.flops = 2.0 * static_cast<double>(m * n * k);
  run.bytes = static_cast<double>((m * k + k * n) * size_of(dtype) + m * n * size_of(c_dtype));
  return run;
}

}  // namespace

std::vector<OpCase> gemm_cases() {
  std::vector<GemmCase> list;
  // Odd shapes in every orientation.
  for (const bool transpose_a : {false, true})
    for (const bool transpose_b : {false, true})
      for (const Rows rows : {Rows::kDense, Rows::kSliced})
        list.push_back({67, 35, 131, transpose_a, transpose_b, transpose_a != transpose_b, transpose_b,
                        rows == Rows::kSliced, rows});
  list.push_back({1, 1, 1});
  list.push_back({1, 300, 64, false, true, false, true});
  list.push_back({5, 1, 17, true, false, true, true});
  list.push_back({33, 515, 64, false, true, true, true});
  list.push_back({130, 64, 0, false, false, true, true});
  list.push_back({64, 48, 0, false, true});
  // GPT-2 124M, 1024 tokens: query-key-value forward, its input and weight gradients, feed-forward, head.
  const auto benchmark = [&](int64_t m, int64_t n, int64_t k, bool transpose_a, bool transpose_b) {
    GemmCase gemm{m, n, k, transpose_a, transpose_b};
    gemm.benchmark = true;
    list.push_back(gemm);
  };
  benchmark(1024, 2304, 768, false, true);
  benchmark(1024, 768, 2304, false, false);
  benchmark(2304, 768, 1024, true, false);
  benchmark(1024, 3072, 768, false, true);
  benchmark(1024, 768, 3072, false, true);
  benchmark(1024, 50304, 768, false, true);

  std::vector<OpCase> cases;
  for (const GemmCase& gemm : list) {
    OpCase result;
    result.op = "gemm";
    result.description = gemm.text();
    result.benchmark = gemm.benchmark;
    result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
      return build(gemm, context, dtype, storage, seed);
    };
    cases.push_back(result);
  }
  return cases;
}

}  // namespace trireme::testing
