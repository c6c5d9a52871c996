#include "core/ops/optimizer.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {
namespace {

/// Second moments are sums of squares.
Tensor positive_tensor(Context& context, const Shape& shape, DType storage, uint64_t seed) {
  Tensor tensor = random_tensor(context, shape, DType::kFloat32, storage, seed);
  dispatch_floating(storage, [&]<class T>(T) {
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      const double value = static_cast<double>(static_cast<float>(tensor.data<T>()[i]));
      tensor.data<T>()[i] = T(static_cast<float>(value * value));
    }
  });
  return tensor;
}

OpCase adam_case(const Extent& extent, bool decoupled, bool low, int64_t step) {
  OpCase result = row_case(
      "adam", extent, 12, low ? 7.5 : 7,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        ops::AdamOptions options;
        options.lr = 0.01;
        options.weight_decay = 0.1;
        options.decoupled_weight_decay = decoupled;
        options.bias_correction = step != 2;
        options.step = step;
        options.gradient_scale = 0.5;
        const Shape shape = extent.shape();
        Tensor weights = random_tensor(context, shape, dtype, storage, seed);
        Tensor gradient = random_tensor(context, shape, dtype, storage, seed + 1);
        Tensor m = random_tensor(context, shape, dtype, storage, seed + 2);
        Tensor v = positive_tensor(context, shape, storage, seed + 3);
        Tensor copy = context.zeros(shape, storage == DType::kFloat64 ? storage : DType::kBFloat16,
                                    MemoryCategory::kWeights);
        OpRun run;
        run.outputs = {{"weights", weights}, {"first_moment", m}, {"second_moment", v}};
        // The copy of a float32 run is bfloat16: 2^-9 instead of 4e-6.
        if (low) run.outputs.push_back({"low_precision", copy, 1000.0});
        run.run = [=](Context& run_context) mutable {
          ops::adam(run_context, options, weights, gradient, m, v, low ? &copy : nullptr);
        };
        return run;
      },
      std::string(decoupled ? ", decoupled decay" : "") + (low ? ", bfloat16 copy" : "") + ", step " +
          std::to_string(step));
  result.dtypes = {DType::kFloat32};
  return result;
}

OpCase sgd_case(const Extent& extent, double momentum, bool nesterov, bool low, int64_t step) {
  OpCase result = row_case(
      "sgd", extent, 6, (momentum > 0 ? 5 : 3) + (low ? 0.5 : 0.0),
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        ops::SgdOptions options;
        options.lr = 0.1;
        options.momentum = momentum;
        options.nesterov = nesterov;
        options.weight_decay = 0.01;
        options.step = step;
        options.gradient_scale = 0.5;
        const Shape shape = extent.shape();
        Tensor weights = random_tensor(context, shape, dtype, storage, seed);
        Tensor gradient = random_tensor(context, shape, dtype, storage, seed + 1);
        Tensor buffer = random_tensor(context, shape, dtype, storage, seed + 2);
        Tensor copy = context.zeros(shape, storage == DType::kFloat64 ? storage : DType::kBFloat16,
                                    MemoryCategory::kWeights);
        OpRun run;
        run.outputs = {{"weights", weights}};
        if (momentum > 0) run.outputs.push_back({"momentum_buffer", buffer});
        if (low) run.outputs.push_back({"low_precision", copy, 1000.0});
        run.run = [=](Context& run_context) mutable {
          ops::sgd(run_context, options, weights, gradient, momentum > 0 ? &buffer : nullptr,
                   low ? &copy : nullptr);
        };
        return run;
      },
      std::string(momentum > 0 ? ", momentum" : "") + (nesterov ? ", nesterov" : "") +
          (low ? ", bfloat16 copy" : "") + ", step " + std::to_string(step));
  result.dtypes = {DType::kFloat32};
  return result;
}

OpCase adagrad_case(const Extent& extent, bool low) {
  OpCase result = row_case(
      "adagrad", extent, 8, low ? 5.5 : 5,
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        const ops::AdagradOptions options{
            .lr = 0.1, .eps = 1e-3, .weight_decay = 0.01, .gradient_scale = 0.5};
        const Shape shape = extent.shape();
        Tensor weights = random_tensor(context, shape, dtype, storage, seed);
        Tensor gradient = random_tensor(context, shape, dtype, storage, seed + 1);
        Tensor sum = positive_tensor(context, shape, storage, seed + 2);
        Tensor copy = context.zeros(shape, storage == DType::kFloat64 ? storage : DType::kBFloat16,
                                    MemoryCategory::kWeights);
        OpRun run;
        run.outputs = {{"weights", weights}, {"sum", sum}};
        if (low) run.outputs.push_back({"low_precision", copy, 1000.0});
        run.run = [=](Context& run_context) mutable {
          ops::adagrad(run_context, options, weights, gradient, sum, low ? &copy : nullptr);
        };
        return run;
      },
      low ? ", bfloat16 copy" : "");
  result.dtypes = {DType::kFloat32};
  return result;
}

OpCase rmsprop_case(const Extent& extent, bool centered, double momentum, bool low) {
  OpCase result = row_case(
      "rmsprop", extent, 10, 5 + (centered ? 2 : 0) + (momentum > 0 ? 2 : 0) + (low ? 0.5 : 0.0),
      [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        const ops::RmsPropOptions options{.lr = 0.1,
                                          .alpha = 0.9,
                                          .eps = 0.01,
                                          .momentum = momentum,
                                          .weight_decay = 0.01,
                                          .gradient_scale = 0.5};
        const Shape shape = extent.shape();
        Tensor weights = random_tensor(context, shape, dtype, storage, seed);
        Tensor gradient = random_tensor(context, shape, dtype, storage, seed + 1);
        Tensor squares = positive_tensor(context, shape, storage, seed + 2);
        Tensor means = context.zeros(shape, storage, MemoryCategory::kOptimizer);
        Tensor buffer = random_tensor(context, shape, dtype, storage, seed + 3);
        Tensor copy = context.zeros(shape, storage == DType::kFloat64 ? storage : DType::kBFloat16,
                                    MemoryCategory::kWeights);
        OpRun run;
        run.outputs = {{"weights", weights}, {"square_average", squares}};
        if (centered) run.outputs.push_back({"gradient_average", means});
        if (momentum > 0) run.outputs.push_back({"momentum_buffer", buffer});
        if (low) run.outputs.push_back({"low_precision", copy, 1000.0});
        run.run = [=](Context& run_context) mutable {
          ops::rmsprop(run_context, options, weights, gradient, squares, centered ? &means : nullptr,
                       momentum > 0 ? &buffer : nullptr, low ? &copy : nullptr);
        };
        return run;
      },
      std::string(centered ? ", centered" : "") + (momentum > 0 ? ", momentum" : "") +
          (low ? ", bfloat16 copy" : ""));
  result.dtypes = {DType::kFloat32};
  return result;
}

OpCase moving_average_case(const Extent& extent) {
  OpCase result = row_case(
      "moving_average", extent, 3, 3, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
        const Tensor weights = random_tensor(context, extent.shape(), dtype, storage, seed);
        Tensor average = random_tensor(context, extent.shape(), dtype, storage, seed + 1);
        OpRun run;
        run.outputs = {{"average", average}};
        run.run = [=](Context& run_context) mutable {
          ops::moving_average(run_context, 0.99, weights, average);
        };
        return run;
      });
  result.dtypes = {DType::kFloat32};
  return result;
}

}  // namespace

std::vector<OpCase> optimizer_cases() {
  std::vector<OpCase> cases;
  for (const Extent& extent :
       {Extent{1, 1}, Extent{1, 37}, Extent{1, 40007}, Extent{1, 50000000, false, true}}) {
    cases.push_back(moving_average_case(extent));
    for (const bool low : {false, true}) {
      cases.push_back(adam_case(extent, true, low, low ? 1 : 10));
      cases.push_back(adam_case(extent, false, low, 2));
      cases.push_back(adagrad_case(extent, low));
      cases.push_back(rmsprop_case(extent, low, low ? 0 : 0.9, low));
      cases.push_back(sgd_case(extent, 0.9, low, low, low ? 1 : 2));
      if (!low) cases.push_back(sgd_case(extent, 0.0, false, false, 1));
    }
  }
  return cases;
}

}  // namespace trireme::testing
