#include "core/ops/dropout.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {

std::vector<OpCase> dropout_cases() {
  struct Tokens {
    int64_t num_samples, length;
    Extent extent;
  };
  const Tokens all[] = {{1, 1, {1, 1}},
                        {3, 2, {6, 37}},
                        {2, 5, {10, 300, true}},
                        {2, 64, {128, 515, true}},
                        {4, 1024, {4096, 768, true, true}}};
  std::vector<OpCase> cases;
  for (const Tokens& tokens : all)
    for (const double probability : {0.0, 0.25})
      for (const bool with_residual : {false, true})
        cases.push_back(row_case(
            "dropout", tokens.extent, 20, with_residual ? 3 : 2,
            [=](Context& context, DType dtype, DType storage, uint64_t seed) {
              const Extent& extent = tokens.extent;
              ops::DropoutOptions options;
              options.probability = probability;
              options.key = RandomKey::make(seed, RandomPurpose::kDropout, 7, 3);
              options.sample_ids =
                  context.zeros({tokens.num_samples}, DType::kInt64, MemoryCategory::kActivations);
              // Above 2^32: both words of the sample number count.
              for (int64_t i = 0; i < tokens.num_samples; ++i)
                options.sample_ids.data<int64_t>()[i] = (int64_t{1} << 40) + 17 * i;
              options.positions =
                  random_integers(context, {tokens.num_samples, tokens.length}, 0, 100000, seed);
              options.feature_offset = 8;
              Tensor x = random_tensor(context, extent.shape(), dtype, storage, seed + 1, extent.padded);
              Tensor residual = random_tensor(context, extent.shape(), dtype, storage, seed + 2);
              Tensor y = random_tensor(context, extent.shape(), dtype, storage, seed + 3, extent.padded);
              return OpRun{[=](Context& run_context) mutable {
                             ops::dropout(run_context, options, x, with_residual ? &residual : nullptr, y);
                           },
                           {{"y", y}}};
            },
            std::string(probability > 0 ? "" : ", probability 0") + (with_residual ? ", residual" : "")));
  return cases;
}

}  // namespace trireme::testing
