#include "core/ops/cpu/cpu_info.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/ops/gemm.h"
#include "tests/support/op_case.h"
#include "tests/support/run_program.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using ops::cpu::InstructionSet;

void multiply_once() {
  Context context;
  const Tensor a = testing::random_tensor(context, {8, 8}, DType::kFloat32, DType::kFloat32, 1);
  Tensor c = context.workspace({8, 8}, DType::kFloat32);
  ops::gemm(context, a, a, c);
}

testing::ProgramResult run_disabled(const std::string& name) {
  return testing::run_program(
      {"/proc/self/exe", "--gtest_also_run_disabled_tests", "--gtest_filter=" + name});
}

TEST(CpuInfo, NamesOneDnnAndTheInstructionSetItUses) {
  EXPECT_THAT(ops::cpu::dnnl_version(), ::testing::MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_FALSE(ops::cpu::instruction_set().empty());
  EXPECT_FALSE(ops::cpu::cpu_model().empty());
}

TEST(CpuInfo, LimitingToWhatTheCpuHasChangesNothing) {
  EXPECT_NO_THROW(ops::cpu::limit_instruction_set(ops::cpu::supported_instruction_set()));
  EXPECT_NO_THROW(ops::cpu::limit_instruction_set(InstructionSet::kAmx));
}

// A process fixes its instruction set once, so each of these runs in a process of its own.
TEST(CpuInfo, DISABLED_InAFreshProcessALowerLimitHolds) {
  ops::cpu::limit_instruction_set(InstructionSet::kAvx2);
  multiply_once();
  EXPECT_EQ(ops::cpu::instruction_set(), "AVX2");
  EXPECT_NO_THROW(ops::cpu::limit_instruction_set(InstructionSet::kAvx2));  // a second rank thread
}

TEST(CpuInfo, DISABLED_InAFreshProcessALimitAfterTheFirstProductIsRefused) {
  multiply_once();
  EXPECT_THAT(
      testing::message_of<DeviceError>([] { ops::cpu::limit_instruction_set(InstructionSet::kAvx2); }),
      ::testing::HasSubstr("agreed on the instruction set AVX2, but oneDNN already runs"));
}

TEST(CpuInfo, ALimitHoldsWhenItComesBeforeTheFirstProductAndIsRefusedAfter) {
  if (ops::cpu::supported_instruction_set() <= InstructionSet::kAvx2) GTEST_SKIP() << "needs more than AVX2";
  for (const char* name : {"CpuInfo.DISABLED_InAFreshProcessALowerLimitHolds",
                           "CpuInfo.DISABLED_InAFreshProcessALimitAfterTheFirstProductIsRefused"}) {
    const testing::ProgramResult result = run_disabled(name);
    EXPECT_EQ(result.exit_code, 0) << result.out;
    EXPECT_THAT(result.out, ::testing::HasSubstr("[  PASSED  ] 1 test."));
  }
}

}  // namespace
}  // namespace trireme
