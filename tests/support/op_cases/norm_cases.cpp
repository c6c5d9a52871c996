#include "core/ops/norm.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {
namespace {

constexpr double kEps = 1e-5;

/// Everything that a norm reads and writes; forward fills the statistics that backward reads.
struct NormData {
  Tensor x, weight, bias, y, mean, rstd, d_y, d_x, d_weight, d_bias;

  NormData(Context& context, const Extent& extent, DType dtype, DType storage, uint64_t seed) {
    const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
    x = random_tensor(context, extent.shape(), dtype, storage, seed, extent.padded);
    weight = random_tensor(context, {extent.cols}, dtype, storage, seed + 1);
    bias = random_tensor(context, {extent.cols}, dtype, storage, seed + 2);
    y = random_tensor(context, extent.shape(), dtype, storage, seed + 3);
    d_y = random_tensor(context, extent.shape(), dtype, storage, seed + 4, extent.padded);
    d_x = random_tensor(context, extent.shape(), dtype, storage, seed + 5, extent.padded);
    mean = context.zeros({extent.rows}, wide, MemoryCategory::kActivations);
    rstd = context.zeros({extent.rows}, wide, MemoryCategory::kActivations);
    d_weight = random_tensor(context, {extent.cols}, DType::kFloat32, wide, seed + 6);
    d_bias = random_tensor(context, {extent.cols}, DType::kFloat32, wide, seed + 7);
  }
};

OpCase forward_case(const Extent& extent, bool layer_norm, bool with_bias) {
  return row_case(
      layer_norm ? "layer_norm_forward" : "rms_norm_forward", extent, layer_norm ? 8 : 5, 2,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        NormData data(context, extent, dtype, storage, seed);
        OpRun run;
        run.outputs = {{"y", data.y}, {"rstd", data.rstd}};
        if (layer_norm) run.outputs.push_back({"mean", data.mean});
        run.run = [=](Context& run_context) mutable {
          if (layer_norm) {
            ops::layer_norm_forward(run_context, data.x, data.weight, with_bias ? &data.bias : nullptr, kEps,
                                    data.y, data.mean, data.rstd);
          } else {
            ops::rms_norm_forward(run_context, data.x, data.weight, kEps, data.y, data.rstd);
          }
        };
        return run;
      },
      with_bias ? ", bias" : "");
}

OpCase backward_case(const Extent& extent, bool layer_norm, bool with_bias, bool accumulate) {
  return row_case(
      layer_norm ? "layer_norm_backward" : "rms_norm_backward", extent, layer_norm ? 14 : 11,
      accumulate ? 4 : 3,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        NormData data(context, extent, dtype, storage, seed);
        Tensor unused = random_tensor(context, extent.shape(), dtype, storage, seed);
        if (layer_norm) {
          ops::layer_norm_forward(context, data.x, data.weight, nullptr, kEps, unused, data.mean, data.rstd);
        } else {
          ops::rms_norm_forward(context, data.x, data.weight, kEps, unused, data.rstd);
        }
        OpRun run;
        run.outputs = {{"d_x", data.d_x}, {"d_weight", data.d_weight}};
        if (with_bias) run.outputs.push_back({"d_bias", data.d_bias});
        run.run = [=](Context& run_context) mutable {
          if (layer_norm) {
            ops::layer_norm_backward(run_context, data.d_y, data.x, data.weight, data.mean, data.rstd,
                                     data.d_x, accumulate, data.d_weight, with_bias ? &data.d_bias : nullptr,
                                     accumulate);
          } else {
            ops::rms_norm_backward(run_context, data.d_y, data.x, data.weight, data.rstd, data.d_x,
                                   accumulate, data.d_weight, accumulate);
          }
        };
        return run;
      },
      std::string(with_bias ? ", bias" : "") + (accumulate ? ", accumulate" : ""));
}

}  // namespace

std::vector<OpCase> norm_cases() {
  std::vector<OpCase> cases;
  std::vector<Extent> extents = row_extents();
  // A norm over one element is zero over zero but for eps: no bound holds there.
  std::erase_if(extents, [](const Extent& extent) { return extent.cols == 1; });
  for (const Extent& extent : extents)
    for (const bool flag : {false, true}) {
      cases.push_back(forward_case(extent, true, flag));
      cases.push_back(backward_case(extent, true, flag, flag));
      cases.push_back(backward_case(extent, false, false, flag));
      if (!flag) cases.push_back(forward_case(extent, false, false));
    }
  return cases;
}

}  // namespace trireme::testing
