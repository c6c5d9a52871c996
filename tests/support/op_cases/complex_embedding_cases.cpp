#include <fmt/format.h>

#include "core/ops/complex_embedding.h"
#include "tests/support/op_cases/op_cases.h"
#include "tests/support/tolerances.h"

namespace trireme::testing {
namespace {

struct ComplexCase {
  int64_t rows, width;
  bool benchmark = false;
};

OpCase complex_case(const ComplexCase& of, bool backward) {
  constexpr int64_t kVocabulary = 13;
  OpCase result;
  result.op = backward ? "complex_embedding_backward" : "complex_embedding_forward";
  result.description = fmt::format("{} x {}", of.rows, 2 * of.width);
  result.dtypes = {DType::kFloat32, DType::kBFloat16};
  result.benchmark = of.benchmark;
  result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
    const DType wide = storage == DType::kFloat64 ? storage : DType::kFloat32;
    const auto table = [&] {
      return random_tensor(context, {kVocabulary, of.width}, dtype, storage, seed++, true);
    };
    const Tensor amplitude = table(), frequency = table(), phase = table();
    const Tensor ids = random_integers(context, {of.rows}, 0, kVocabulary, seed);
    const Tensor positions = random_integers(context, {of.rows}, 0, 600, seed + 1);
    Tensor out = random_tensor(context, {of.rows, 2 * of.width}, dtype, storage, seed + 2, true);
    const auto rows = [&] { return context.zeros({of.rows, of.width}, wide, MemoryCategory::kWorkspace); };
    Tensor d_amplitude = rows(), d_frequency = rows(), d_phase = rows();
    OpRun run;
    run.bytes = static_cast<double>(out.num_bytes());
    if (!backward) {
      run.run = [=](Context& run_context) mutable {
        ops::complex_embedding_forward(run_context, amplitude, frequency, phase, ids, positions, out);
      };
      run.outputs = {{"out", out}};
      return run;
    }
    run.run = [=](Context& run_context) mutable {
      ops::complex_embedding_backward(run_context, out, amplitude, frequency, phase, ids, positions,
                                      d_amplitude, d_frequency, d_phase);
    };
    const double factor = float32_factor(dtype);
    run.outputs = {{"d_amplitude", d_amplitude, factor},
                   {"d_frequency", d_frequency, factor},
                   {"d_phase", d_phase, factor}};
    return run;
  };
  return result;
}

}  // namespace

std::vector<OpCase> complex_embedding_cases() {
  std::vector<OpCase> cases;
  for (const ComplexCase& of :
       {ComplexCase{1, 1}, ComplexCase{33, 7}, ComplexCase{70, 256}, ComplexCase{4096, 512, true}}) {
    for (const bool backward : {false, true}) cases.push_back(complex_case(of, backward));
  }
  return cases;
}

}  // namespace trireme::testing
