#include "parallel/verify/difference.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "parallel/verify/verify.h"
#include "tests/support/parity.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using verify::Difference;
using verify::Trace;

constexpr verify::Bounds kBounds = {1e-6, 1e-6, 1e-6, 1e-6};

Trace small_trace() {
  Trace trace;
  trace.names = {"embedding", "layers.0.attention.key.bias", "head"};
  trace.steps = {{.loss = 2, .grad_norm = 3, .skipped = false, .gradients = {{1, 2}, {0, 0}, {0, 4}}}};
  trace.weights = trace.values = {{1, 1}, {0, 0}, {2, 2}};
  return trace;
}

TEST(Difference, IsNothingBetweenEqualTraces) {
  const Difference difference = verify::compare(small_trace(), small_trace());
  EXPECT_EQ(difference.worst_gradient().gradient, 0);
  EXPECT_THAT(verify::disagreements(difference, kBounds), IsEmpty());
}

TEST(Difference, OfATensorIsRelativeToItsLargestElementOrAThousandthOfTheModels) {
  Trace trace = small_trace();
  trace.steps[0].gradients = {{1, 2.2}, {0, 1e-4}, {0, 4}};
  const Difference difference = verify::compare(trace, small_trace());
  EXPECT_NEAR(difference.tensors[0].gradient, 0.1, 1e-12);
  EXPECT_NEAR(difference.tensors[1].gradient, 1e-4 / 4e-3, 1e-12);
  EXPECT_EQ(difference.tensors[2].gradient, 0);
}

TEST(Difference, LeavesKeyBiasesOutBelowFp64) {
  Trace trace = small_trace(), reference = small_trace();
  trace.steps[0].gradients[1] = {1, 1};
  EXPECT_GT(verify::compare(trace, reference).tensors[1].gradient, 1);
  trace.precision = reference.precision = Precision::kFp32;
  EXPECT_EQ(verify::compare(trace, reference).tensors[1].gradient, 0);
}

TEST(Difference, CountsNaNAsInfinite) {
  Trace trace = small_trace();
  trace.steps[0].loss = trace.steps[0].gradients[2][0] = std::nan("");
  const Difference difference = verify::compare(trace, small_trace());
  EXPECT_EQ(difference.tensors[2].gradient, INFINITY);
  EXPECT_EQ(difference.loss, INFINITY);
}

TEST(Difference, NamesTheTensorThatBackwardMakesFirst) {
  Trace trace = small_trace();
  trace.steps[0].gradients = {{9, 9}, {0, 0}, {0, 4.4}};
  EXPECT_THAT(
      verify::disagreements(verify::compare(trace, small_trace()), kBounds),
      ElementsAre(HasSubstr("gradient of 2 of 3 tensors, first (from the loss back) head: error 1.0e-01")));
}

TEST(Difference, TellsEverythingThatIsBeyondItsBound) {
  Trace trace = small_trace();
  trace.steps[0].loss = 2.1;
  trace.steps[0].grad_norm = 3.1;
  trace.steps[0].skipped = true;
  trace.values[2] = {2, 3};
  trace.problems = {"gradient of head: ranks 0 and 1 hold different copies"};
  EXPECT_THAT(verify::disagreements(verify::compare(trace, small_trace()), kBounds),
              ElementsAre(HasSubstr("different copies"), HasSubstr("gradient norm"), HasSubstr("loss"),
                          HasSubstr("skipped"), HasSubstr("weight after the last step of 1 of 3 tensors")));
}

TEST(Difference, BeyondTheBoundsIsExitCode76) {
  Trace trace = small_trace();
  trace.steps[0].loss = 3;
  const Difference difference = verify::compare(trace, small_trace());
  const verify::Verdict verdict{Precision::kFp64, difference, kBounds,
                                verify::disagreements(difference, kBounds)};
  try {
    verify::require_agreement("run.yaml", {verdict});
    FAIL() << "nothing was thrown";
  } catch (const CommError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kRanksDisagree);
    EXPECT_THAT(error.what(),
                HasSubstr("run.yaml: this layout does not give the gradients of one rank\n  fp64: loss"));
  }
}

TEST(WholeTensors, FindCopiesThatDiffer) {
  verify::VerifyCase run = testing::parity_run(testing::parity_gpt2());
  run.num_ranks = 2;
  run.num_steps = 1;
  run.rank.micro_batch_size = 6;
  const auto spoil = [](Context&, Communicator& world, TrainingRank& rank) {
    if (world.rank() == 1) rank.store().parameters().front()->value.data<double>()[0] += 1e-12;
  };
  const Trace trace = verify::run_on_threads(run, {.after = spoil});
  const std::string problems = ::testing::PrintToString(trace.problems);
  EXPECT_THAT(problems, HasSubstr("ranks 0 and 1 hold different copies"));
}

}  // namespace
}  // namespace trireme
