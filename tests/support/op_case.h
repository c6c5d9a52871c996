#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor/context.h"

namespace trireme::testing {

/// An operation set up on data: what tests compare and benchmarks repeat.
struct OpRun {
  struct Output {
    std::string name;
    Tensor tensor;
    double tolerance_factor = 1.0;  ///< multiplies the dtype's bound, with a reason where it is not 1
  };
  std::function<void(Context&)> run;
  std::vector<Output> outputs;
  double flops = 0;  ///< of one run
  double bytes = 0;  ///< least memory traffic of one run
};

/// One line of the table that tests and benchmarks share. Inputs are drawn from `seed` in float64, rounded to
/// `dtype`'s values, and stored as `storage` (so the float64 reference sees exactly what the fast kernel
/// sees).
struct OpCase {
  std::string op;           ///< "gemm", "attention_forward", ...
  std::string description;  ///< "64 x 96 x 33, b transposed, strided rows"
  std::vector<DType> dtypes = {DType::kFloat32, DType::kBFloat16, DType::kFloat16};
  std::function<OpRun(Context&, DType dtype, DType storage, uint64_t seed)> build;
  bool benchmark = false;  ///< large: timed by the benchmark, not run by the tests
};

/// Every case of every operation (each operation's file in tests/support/op_cases/ adds its own).
const std::vector<OpCase>& op_cases();

/// max|a-b| / max(max|b|, floor); NaN anywhere gives infinity.
double relative_error(const Tensor& a, const Tensor& b, double floor = 1e-30);

/// A tensor of `shape` with standard normal values from `seed`, rounded to dtype, stored as storage. padded:
/// strided rows.
Tensor random_tensor(Context& context, const Shape& shape, DType dtype, DType storage, uint64_t seed,
                     bool padded = false, double std = 1.0);

/// A contiguous int32 tensor with values in [begin, end).
Tensor random_integers(Context& context, const Shape& shape, int32_t begin, int32_t end, uint64_t seed);

}  // namespace trireme::testing
