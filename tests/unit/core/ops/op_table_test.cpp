#include <gtest/gtest.h>

#include <cctype>
#include <cstring>

#include "tests/support/op_case.h"
#include "tests/support/tolerances.h"

namespace trireme {
namespace {

using testing::OpCase;
using testing::OpRun;

struct Row {
  const OpCase* op_case;
  DType dtype;
};

std::vector<Row> rows() {
  std::vector<Row> result;
  for (const OpCase& op_case : testing::op_cases())
    if (!op_case.benchmark)
      for (const DType dtype : op_case.dtypes) result.push_back({&op_case, dtype});
  return result;
}

/// gtest names take letters, digits and underscores only.
std::string name_of_row(const ::testing::TestParamInfo<Row>& info) {
  std::string name = info.param.op_case->op + "_" + info.param.op_case->description + "_" +
                     trireme::name_of(info.param.dtype);
  std::string result;
  for (const char letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter))) {
      result += letter;
    } else if (result.back() != '_') {
      result += '_';
    }
  }
  return result;
}

class OpTable : public ::testing::TestWithParam<Row> {
 protected:
  static constexpr uint64_t kSeed = 11;

  OpRun ran(Context& context, DType storage) {
    OpRun run = GetParam().op_case->build(context, GetParam().dtype, storage, kSeed);
    run.run(context);
    return run;
  }
};

/// The bytes of the rows, without what lies between them.
std::string bytes_of(const Tensor& tensor) {
  std::string bytes;
  const auto row_bytes = static_cast<size_t>(tensor.cols() * size_of(tensor.dtype()));
  for (int64_t i = 0; i < tensor.rows(); ++i)
    bytes.append(
        reinterpret_cast<const char*>(tensor.raw() + i * tensor.row_stride() * size_of(tensor.dtype())),
        row_bytes);
  return bytes;
}

TEST_P(OpTable, FastKernelMatchesFloat64) {
  Context context;
  context.num_threads = 2;
  const OpRun fast = ran(context, GetParam().dtype);
  const OpRun exact = ran(context, DType::kFloat64);
  ASSERT_EQ(fast.outputs.size(), exact.outputs.size());
  for (size_t i = 0; i < fast.outputs.size(); ++i)
    EXPECT_LE(testing::relative_error(fast.outputs[i].tensor, exact.outputs[i].tensor),
              testing::tolerance(GetParam().dtype) * fast.outputs[i].tolerance_factor)
        << fast.outputs[i].name;
}

TEST_P(OpTable, ReferenceKernelInThisTypeMatchesFloat64) {
  Context context;
  context.reference_kernels = true;
  const OpRun reference = ran(context, GetParam().dtype);
  const OpRun exact = ran(context, DType::kFloat64);
  for (size_t i = 0; i < reference.outputs.size(); ++i)
    EXPECT_LE(testing::relative_error(reference.outputs[i].tensor, exact.outputs[i].tensor),
              testing::tolerance(GetParam().dtype) * reference.outputs[i].tolerance_factor)
        << reference.outputs[i].name;
}

TEST_P(OpTable, DoesNotDependOnTheNumberOfThreads) {
  Context one, two, three;
  two.num_threads = 2;
  three.num_threads = 3;
  const OpRun first = ran(one, GetParam().dtype);
  const OpRun second = ran(two, GetParam().dtype);
  const OpRun third = ran(three, GetParam().dtype);
  for (size_t i = 0; i < first.outputs.size(); ++i) {
    EXPECT_EQ(bytes_of(first.outputs[i].tensor), bytes_of(second.outputs[i].tensor)) << first.outputs[i].name;
    EXPECT_EQ(bytes_of(first.outputs[i].tensor), bytes_of(third.outputs[i].tensor)) << first.outputs[i].name;
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, OpTable, ::testing::ValuesIn(rows()), name_of_row);

}  // namespace
}  // namespace trireme
