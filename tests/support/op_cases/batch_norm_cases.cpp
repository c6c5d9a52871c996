#include "core/ops/batch_norm.h"

#include "tests/support/op_cases/row_case.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

struct BatchNormData {
  Tensor x, counted, weight, bias, mean, rstd, sums, y, d_y, d_sums, d_x;

  BatchNormData(Context& context, const Extent& extent, bool some, DType dtype, DType storage,
                uint64_t seed) {
    const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
    x = random_tensor(context, extent.shape(), dtype, storage, seed, extent.padded);
    weight = random_tensor(context, {extent.cols}, dtype, storage, seed + 1);
    bias = random_tensor(context, {extent.cols}, dtype, storage, seed + 2);
    d_y = random_tensor(context, extent.shape(), dtype, storage, seed + 3, extent.padded);
    y = random_tensor(context, extent.shape(), dtype, storage, seed + 4);
    d_x = random_tensor(context, extent.shape(), dtype, storage, seed + 5, extent.padded);
    mean = context.zeros({extent.cols}, wide, MemoryCategory::kActivations);
    rstd = context.zeros({extent.cols}, wide, MemoryCategory::kActivations);
    sums = context.zeros({2 * extent.cols + 1}, DType::kFloat64, MemoryCategory::kActivations);
    d_sums = context.zeros({2 * extent.cols}, DType::kFloat64, MemoryCategory::kActivations);
    if (!some) return;
    counted = context.workspace({extent.rows}, DType::kInt32);
    for (int64_t i = 0; i < extent.rows; ++i) counted.data<int32_t>()[i] = i % 4 == 2 ? 0 : 1;
  }

  void statistics(Context& context) {
    ops::batch_norm_sums(context, x, counted, sums);
    ops::batch_norm_statistics(context, sums, 1e-5, mean, rstd);
  }
};

OpCase forward_case(const Extent& extent, bool some) {
  return row_case(
      "batch_norm_forward", extent, 6, 3,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        BatchNormData data(context, extent, some, dtype, storage, seed);
        OpRun run;
        run.outputs = {{"y", data.y},
                       {"mean", data.mean, float32_factor(dtype)},
                       {"rstd", data.rstd, float32_factor(dtype)}};
        run.run = [=](Context& run_context) mutable {
          data.statistics(run_context);
          ops::batch_norm_forward(run_context, data.x, data.counted, data.mean, data.rstd, data.weight,
                                  data.bias, data.y);
        };
        return run;
      },
      some ? ", some rows count" : "");
}

OpCase backward_case(const Extent& extent, bool some) {
  return row_case(
      "batch_norm_backward", extent, 10, 5,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        BatchNormData data(context, extent, some, dtype, storage, seed);
        data.statistics(context);
        OpRun run;
        run.outputs = {{"d_x", data.d_x}, {"sums", data.d_sums, float32_factor(dtype)}};
        run.run = [=](Context& run_context) mutable {
          ops::batch_norm_backward_sums(run_context, data.d_y, data.x, data.counted, data.mean, data.rstd,
                                        data.d_sums);
          ops::batch_norm_backward(run_context, data.d_y, data.x, data.counted, data.mean, data.rstd,
                                   data.weight, &data.d_sums, data.sums.data<double>()[2 * extent.cols],
                                   data.d_x);
        };
        return run;
      },
      some ? ", some rows count" : "");
}

}  // namespace

std::vector<OpCase> batch_norm_cases() {
  std::vector<OpCase> cases;
  std::vector<Extent> extents = row_extents();
  // Over a few rows the gradient is what is left of nearly equal terms: no bound holds there.
  std::erase_if(extents, [](const Extent& extent) { return extent.rows < 4; });
  for (const Extent& extent : extents)
    for (const bool some : {false, true}) {
      cases.push_back(forward_case(extent, some));
      cases.push_back(backward_case(extent, some));
    }
  for (OpCase& of : cases) of.dtypes = {DType::kFloat32, DType::kBFloat16};
  return cases;
}

}  // namespace trireme::testing
