#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/mpi/mpi_main.h"
#include "tests/support/parity.h"

namespace trireme {
namespace {

using verify::VerifyCase;

class MpiParity : public ::testing::TestWithParam<bool> {
 protected:
  std::unique_ptr<Communicator> world() const { return testing::mpi().world({.shared_memory = GetParam()}); }
  /// On the processes of this program, as data ranks.
  static VerifyCase on_processes(VerifyCase run, int64_t micro_batch_size) {
    run.num_ranks = testing::mpi().size();
    run.rank.micro_batch_size = micro_batch_size;
    return run;
  }
};

TEST_P(MpiParity, ProcessesGiveTheGradientsAndLossesOfOneRank) {
  const auto world = this->world();
  for (const ModelConfig& model : {testing::parity_gpt2(), testing::parity_llama(),
                                   testing::parity_transformer(), testing::parity_bert()}) {
    verify::Trace exact;  // one rank in fp64
    for (const Precision precision : {Precision::kFp64, Precision::kFp32}) {
      const VerifyCase run = on_processes(testing::parity_run(model, precision), 1);
      const verify::Trace trace = verify::run_case(run, *world);
      if (world->rank() != 0) continue;
      const verify::Trace alone = verify::run_on_threads(verify::on_one_rank(run));
      if (precision == Precision::kFp64) exact = alone;
      const verify::Bounds bounds = precision == Precision::kFp64
                                        ? verify::Bounds{1e-12, 1e-12, 1e-12, 1e-12}
                                        : verify::bounds_of(precision, verify::compare(alone, exact));
      EXPECT_THAT(verify::disagreements(verify::compare(trace, alone), bounds), ::testing::IsEmpty())
          << model.family << " in " << name_of(precision);
    }
  }
}

TEST_P(MpiParity, ProcessesAndThreadsGiveTheSameBits) {
  const auto world = this->world();
  VerifyCase run = on_processes(testing::parity_run(testing::parity_gpt2(), Precision::kFp32), 3);
  run.num_steps = 20;
  const verify::Trace trace = verify::run_case(run, *world);
  if (world->rank() == 0) {
    EXPECT_EQ(trace, verify::run_on_threads(run));
  }
}

TEST_P(MpiParity, PipelinesOfProcessesGiveTheGradientsOfOneRank) {
  using enum PipelineSchedule;
  const auto world = this->world();
  ModelConfig decoder = testing::parity_gpt2(), encoder_decoder = testing::parity_transformer();
  decoder.num_layers = 6;
  encoder_decoder.encoder_num_layers = encoder_decoder.num_layers = 3;
  for (const PipelineSchedule schedule : {kGpipe, k1f1b, kInterleaved, kZeroBubble})
    for (const ModelConfig& model : {decoder, encoder_decoder}) {
      VerifyCase run = on_processes(testing::parity_run(model), 2);
      run.num_steps = 3;
      run.rank.parallel.pipeline_schedule = schedule;
      run.rank.parallel.pipeline_model_parallel_size = world->size();
      run.rank.parallel.virtual_pipeline_model_parallel_size = schedule == kInterleaved ? 2 : 1;
      const verify::Trace trace = verify::run_case(run, *world);
      if (world->rank() != 0) continue;
      const verify::Trace alone = verify::run_on_threads(verify::on_one_rank(run));
      testing::expect_within(verify::compare(trace, alone), 1e-12, name_of(schedule));
    }
}

INSTANTIATE_TEST_SUITE_P(Transports, MpiParity, ::testing::Values(true, false),
                         [](const auto& info) { return info.param ? "SharedMemory" : "Messages"; });

}  // namespace
}  // namespace trireme
