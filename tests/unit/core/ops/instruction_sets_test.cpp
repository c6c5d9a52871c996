#include <gtest/gtest.h>
#include <hwy/targets.h>

#include "tests/support/op_case.h"
#include "tests/support/tolerances.h"

namespace trireme {
namespace {

/// Lets the kernels see one instruction set only, as on an older machine, for a scope.
class OneInstructionSet {
 public:
  explicit OneInstructionSet(int64_t target) { choose(target); }
  ~OneInstructionSet() { choose(0); }
  OneInstructionSet(const OneInstructionSet&) = delete;
  OneInstructionSet& operator=(const OneInstructionSet&) = delete;

 private:
  static void choose(int64_t targets) {  // 0: all that the machine has
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

/// The small cases; the large ones differ in how they are split between threads, not in their vectors.
TEST(InstructionSets, EachGivesTheReferencesResult) {
  constexpr int64_t kSmall = 4000;
  Context context;
  const int64_t supported = hwy::SupportedTargets();
  for (const testing::OpCase& op_case : testing::op_cases()) {
    if (op_case.benchmark) continue;
    for (const DType dtype : op_case.dtypes) {
      const testing::OpRun exact = op_case.build(context, dtype, DType::kFloat64, 21);
      if (exact.outputs[0].tensor.num_elements() > kSmall) continue;
      exact.run(context);
      for (int64_t rest = supported; rest != 0; rest &= rest - 1) {
        const int64_t target = rest & -rest;
        const OneInstructionSet guard(target);
        const testing::OpRun fast = op_case.build(context, dtype, dtype, 21);
        fast.run(context);
        for (size_t i = 0; i < fast.outputs.size(); ++i)
          EXPECT_LE(testing::relative_error(fast.outputs[i].tensor, exact.outputs[i].tensor),
                    testing::tolerance(dtype) * fast.outputs[i].tolerance_factor)
              << op_case.op << " " << op_case.description << " " << name_of(dtype) << " "
              << hwy::TargetName(target) << " " << fast.outputs[i].name;
      }
    }
  }
}

}  // namespace
}  // namespace trireme
