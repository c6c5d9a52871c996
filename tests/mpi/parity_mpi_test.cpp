#include <gtest/gtest.h>

#include "tests/mpi/mpi_main.h"
#include "tests/support/parity.h"

namespace trireme {
namespace {

using testing::ParityError;
using testing::ParityRun;
using testing::ParityTrace;

/// Every process checks its own trace: against one rank that it runs alone, and against thread ranks.
class MpiParity : public ::testing::TestWithParam<bool> {};

TEST_P(MpiParity, ProcessesGiveTheGradientsAndLossesOfOneRank) {
  const auto world = testing::mpi().world({.shared_memory = GetParam()});
  for (const GptConfig& model : {testing::parity_gpt2(), testing::parity_llama()}) {
    for (const Precision precision : {Precision::kFp64, Precision::kFp32}) {
      ParityRun run{.model = model, .precision = precision, .micro_batch_size = 1};
      const ParityTrace trace = testing::train(*world, run);
      const double bound = precision == Precision::kFp64 ? 1e-12 : 3e-5;
      const ParityError error = testing::compare(trace, testing::train_alone(run), 50);
      EXPECT_LE(error.gradient, bound) << error.where;
      EXPECT_LE(error.loss, bound);
      EXPECT_LE(error.weight, bound) << error.weight_where;
    }
  }
}

TEST_P(MpiParity, ProcessesAndThreadsGiveTheSameBits) {
  const auto world = testing::mpi().world({.shared_memory = GetParam()});
  const ParityRun run{
      .model = testing::parity_gpt2(), .precision = Precision::kFp32, .num_steps = 20, .micro_batch_size = 3};
  EXPECT_TRUE(
      testing::identical(testing::train(*world, run), testing::train_on_threads(testing::mpi().size(), run)));
}

INSTANTIATE_TEST_SUITE_P(Transports, MpiParity, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "SharedMemory" : "Messages"; });

}  // namespace
}  // namespace trireme
