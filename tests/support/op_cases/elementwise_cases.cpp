#include "core/ops/elementwise.h"
#include "tests/support/op_cases/row_case.h"

namespace trireme::testing {

std::vector<OpCase> elementwise_cases() {
  std::vector<OpCase> cases;
  for (const Extent& extent : row_extents()) {
    const Shape shape = {extent.rows, extent.cols};
    const bool padded = extent.padded;
    cases.push_back(
        row_case("add", extent, 1, 3, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
          Tensor a = random_tensor(context, shape, dtype, storage, seed, padded);
          Tensor b = random_tensor(context, shape, dtype, storage, seed + 1);
          Tensor c = random_tensor(context, shape, dtype, storage, seed + 2, padded);
          return OpRun{[=](Context& run_context) mutable { ops::add(run_context, a, b, c); }, {{"c", c}}};
        }));
    cases.push_back(
        row_case("scale", extent, 1, 2, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
          Tensor x = random_tensor(context, shape, dtype, storage, seed, padded);
          return OpRun{[=](Context& run_context) mutable { ops::scale(run_context, x, -0.75); }, {{"x", x}}};
        }));
    cases.push_back(
        row_case("fill", extent, 0, 1, [=](Context& context, DType dtype, DType storage, uint64_t seed) {
          Tensor x = random_tensor(context, shape, dtype, storage, seed, padded);
          return OpRun{[=](Context& run_context) mutable { ops::fill(run_context, x, 1.5); }, {{"x", x}}};
        }));
    // The other side of a cast is the wide type, so that both directions and the copy occur.
    for (const bool up : {true, false})
      cases.push_back(row_case(
          up ? "cast_up" : "cast_down", extent, 0, 0,
          [=](Context& context, DType dtype, DType storage, uint64_t seed) {
            const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
            const DType from = up ? storage : wide, to = up ? wide : storage;
            Tensor x = random_tensor(context, shape, up ? dtype : DType::kFloat32, from, seed, padded);
            Tensor y = random_tensor(context, shape, dtype, to, seed + 1);
            OpRun run{[=](Context& run_context) mutable { ops::cast(run_context, x, y); }, {{"y", y}}};
            run.bytes = static_cast<double>(x.num_bytes() + y.num_bytes());
            return run;
          }));
  }
  return cases;
}

}  // namespace trireme::testing
