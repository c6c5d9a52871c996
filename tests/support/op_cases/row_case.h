#pragma once

#include "tests/support/op_cases/op_cases.h"

namespace trireme::testing {

/// The matrix that an operation over rows is tried on.
struct Extent {
  int64_t rows = 0, cols = 0;
  bool padded = false;
  bool benchmark = false;
  Shape shape() const { return {rows, cols}; }
};

/// Small, odd, with strided rows, one that several threads share, and a large one for the benchmark.
const std::vector<Extent>& row_extents();

/// A case over one extent; flops and memory accesses (of the storage type) are per element of the extent,
/// unless `build` sets bytes itself.
OpCase row_case(const std::string& op, const Extent& extent, double flops_each, double accesses_each,
                std::function<OpRun(Context&, DType, DType, uint64_t)> build, const std::string& detail = "");

}  // namespace trireme::testing
