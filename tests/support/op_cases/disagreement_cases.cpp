#include "core/ops/disagreement.h"

#include <fmt/format.h>

#include "tests/support/op_cases/op_cases.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

struct DisagreementCase {
  int64_t num_samples, num_heads, length, width;  ///< width: of a head, or keys
  bool some = false;
  bool benchmark = false;
};

Tensor counted_rows(Context& context, const DisagreementCase& of) {
  if (!of.some) return Tensor();
  Tensor counted = context.workspace({of.num_samples * of.length}, DType::kInt32);
  for (int64_t i = 0; i < counted.num_elements(); ++i) counted.data<int32_t>()[i] = i % 5 == 3 ? 0 : 1;
  return counted;
}

OpCase make_case(const DisagreementCase& of, bool maps, bool backward) {
  OpCase result;
  result.op = fmt::format("{}_disagreement_{}", maps ? "map" : "head", backward ? "backward" : "forward");
  result.description = fmt::format("B{} H{} T{} x {}{}", of.num_samples, of.num_heads, of.length, of.width,
                                   of.some ? ", some rows count" : "");
  result.dtypes = {DType::kFloat32, DType::kBFloat16};
  result.benchmark = of.benchmark;
  result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
    const Shape shape = maps ? Shape{of.num_samples, of.num_heads, of.length, of.width}
                             : Shape{of.num_samples * of.length, of.num_heads * of.width};
    const Tensor x = random_tensor(context, shape, dtype, storage, seed, !maps);
    Tensor d_x = random_tensor(context, shape, dtype, storage, seed + 1, !maps);
    Tensor values = random_tensor(context, {of.num_samples}, dtype, DType::kFloat64, seed + 2);
    Tensor sums =
        random_tensor(context, {of.num_samples * of.length, of.width}, dtype, DType::kFloat64, seed + 3);
    const Tensor counted = counted_rows(context, of);
    OpRun run;
    run.run = [=](Context& run_context) mutable {
      if (maps && backward)
        return ops::map_disagreement_backward(run_context, of.num_heads, sums, counted, values, d_x);
      if (backward)
        return ops::head_disagreement_backward(run_context, of.num_heads, x, sums, counted, values, d_x);
      maps ? ops::map_disagreement_sums(run_context, x, sums)
           : ops::head_disagreement_sums(run_context, of.num_heads, x, sums);
      ops::disagreement_forward(run_context, of.num_heads, sums, counted,
                                maps ? ops::OverRows::kSum : ops::OverRows::kMean, values);
    };
    if (backward) {
      run.outputs = {{"d_x", d_x}};
    } else {
      run.outputs = {{"values", values, float32_factor(dtype)}};
    }
    run.bytes = static_cast<double>(x.num_bytes());
    return run;
  };
  return result;
}

}  // namespace

std::vector<OpCase> disagreement_cases() {
  std::vector<OpCase> cases;
  for (const DisagreementCase& of : {DisagreementCase{2, 2, 3, 2}, DisagreementCase{3, 4, 9, 13, true},
                                     DisagreementCase{32, 8, 64, 64, true, true}})
    for (const bool maps : {false, true})
      for (const bool backward : {false, true}) cases.push_back(make_case(of, maps, backward));
  return cases;
}

}  // namespace trireme::testing
