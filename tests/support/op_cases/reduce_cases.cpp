#include "core/ops/reduce.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {

std::vector<OpCase> reduce_cases() {
  std::vector<OpCase> cases;
  // Enough elements that the sum is made of several chunks.
  std::vector<Extent> extents = row_extents();
  extents.push_back({1, 70001});
  for (const Extent& extent : extents) {
    const auto scalar = [&](const char* op, double flops, double (*call)(Context&, const Tensor&)) {
      cases.push_back(
          row_case(op, extent, flops, 1, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
            Tensor x = random_tensor(context, extent.shape(), dtype, storage, seed, extent.padded);
            Tensor result = context.zeros({1}, DType::kFloat64, MemoryCategory::kWorkspace);
            return OpRun{[=](Context& run_context) { result.data<double>()[0] = call(run_context, x); },
                         {{"result", result}}};
          }));
    };
    scalar("sum", 1, ops::sum);
    scalar("sum_of_squares", 2, ops::sum_of_squares);
    scalar("count_non_finite", 1, [](Context& context, const Tensor& x) {
      return static_cast<double>(ops::count_non_finite(context, x));
    });
    for (const bool accumulate : {false, true})
      cases.push_back(row_case(
          "column_sum", extent, 1, 1,
          [=](Context& context, DType dtype, DType storage, uint64_t seed) {
            const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
            Tensor x = random_tensor(context, extent.shape(), dtype, storage, seed, extent.padded);
            Tensor out = random_tensor(context, {extent.cols}, DType::kFloat32, wide, seed + 1);
            return OpRun{
                [=](Context& run_context) mutable { ops::column_sum(run_context, x, out, accumulate); },
                {{"out", out}}};
          },
          accumulate ? ", accumulate" : ""));
  }
  return cases;
}

}  // namespace trireme::testing
