#include "tests/support/op_cases/row_case.h"

#include <fmt/format.h>

namespace trireme::testing {

const std::vector<Extent>& row_extents() {
  static const std::vector<Extent> extents = {
      {1, 1}, {3, 37}, {5, 300, true}, {130, 1024, true}, {4096, 3072, true, true}};
  return extents;
}

OpCase row_case(const std::string& op, const Extent& extent, double flops_each, double accesses_each,
                std::function<OpRun(Context&, DType, DType, uint64_t)> build, const std::string& detail) {
  OpCase result;
  result.op = op;
  result.description =
      fmt::format("{} x {}{}{}", extent.rows, extent.cols, extent.padded ? ", strided rows" : "", detail);
  result.benchmark = extent.benchmark;
  const double elements = static_cast<double>(extent.rows * extent.cols);
  result.build = [=](Context& context, DType dtype, DType storage, uint64_t seed) {
    OpRun run = build(context, dtype, storage, seed);
    run.flops = flops_each * elements;
    if (run.bytes == 0) run.bytes = accesses_each * elements * static_cast<double>(size_of(storage));
    return run;
  };
  return result;
}

}  // namespace trireme::testing
