#include "core/ops/rotary.h"

#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {

std::vector<OpCase> rotary_cases() {
  struct Heads {
    int64_t num_heads, head_dim;
    Extent extent;
  };
  const Heads all[] = {
      {1, 2, {1, 2}}, {3, 10, {7, 30}}, {4, 64, {96, 256, true}}, {12, 64, {4096, 768, true, true}}};
  std::vector<OpCase> cases;
  for (const Heads& heads : all)
    for (const bool interleaved : {false, true})
      for (const bool inverse : {false, true})
        cases.push_back(row_case(
            "rotary", heads.extent, 3, 2,
            [=](Context& context, DType dtype, DType storage, uint64_t seed) {
              Tensor x =
                  random_tensor(context, heads.extent.shape(), dtype, storage, seed, heads.extent.padded);
              Tensor positions = random_integers(context, {heads.extent.rows}, 0, 4096, seed + 1);
              const ops::RotaryOptions options = {heads.num_heads, heads.head_dim, 10000.0, interleaved};
              return OpRun{[=](Context& run_context) mutable {
                             ops::rotary(run_context, options, positions, x, inverse);
                           },
                           {{"x", x}}};
            },
            std::string(interleaved ? ", interleaved" : "") + (inverse ? ", inverse" : "")));
  return cases;
}

}  // namespace trireme::testing
