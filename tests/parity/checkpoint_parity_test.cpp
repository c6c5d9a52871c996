// A run that goes on in another layout after every checkpoint: the real model, steps and optimizer.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "parallel/checkpoint/checkpoint_store.h"
#include "tests/support/parity.h"
#include "tests/support/run_program.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::TemporaryFolder;
using verify::Trace;
using verify::VerifyCase;

struct Layout {
  const char* name;
  int tensor = 1, data = 1, pipeline = 1, chunks = 1;
  PipelineSchedule schedule = PipelineSchedule::k1f1b;
  bool zero = false, sequence_parallel = false;

  ParallelConfig parallel() const {
    ParallelConfig config;
    config.tensor_model_parallel_size = tensor;
    config.pipeline_model_parallel_size = pipeline;
    config.virtual_pipeline_model_parallel_size = chunks;
    config.pipeline_schedule = schedule;
    config.zero_stage = zero ? 1 : 0;
    config.sequence_parallel = sequence_parallel;
    config.bucket_size_mb = 6e-4;
    return config;
  }
};

constexpr Layout kChain[] = {
    {.name = "1"},
    {.name = "tp2 + sp", .tensor = 2, .sequence_parallel = true},
    {.name = "pp2 interleaved", .pipeline = 2, .chunks = 2, .schedule = PipelineSchedule::kInterleaved},
    {.name = "dp3 zero1", .data = 3, .zero = true},
    {.name = "tp2 x pp2 x dp2 zero1", .tensor = 2, .data = 2, .pipeline = 2, .zero = true},
    {.name = "pp3 zb-h1", .pipeline = 3, .schedule = PipelineSchedule::kZeroBubble},
    {.name = "tp2 x dp2", .tensor = 2, .data = 2},
    {.name = "pp2 x dp3 zero1", .data = 3, .pipeline = 2, .zero = true},
    {.name = "1 again"},
};

ModelConfig model(bool llama) {
  ModelConfig config = llama ? testing::parity_llama() : testing::parity_gpt2();
  config.num_layers = 5;
  if (llama) config.num_query_groups = 1;  // fewer key heads than tensor ranks
  return config;
}

TrainingState state_at(int64_t step) {
  TrainingState state;
  state.step = step;
  state.run_id = "run";
  return state;
}

/// Every step has a directory of its own: each is saved by another store.
std::string steps_path(const TemporaryFolder& folder, int64_t step) {
  return folder.path() / std::to_string(step);
}
std::string step_path(const TemporaryFolder& folder, int64_t step) {
  return steps_path(folder, step) + fmt::format("/step-{:08}", step);
}

/// Every byte of values, buffers, masters and optimizer states that one rank restores.
std::string content(const std::string& step_directory, const VerifyCase& run) {
  const TemporaryFolder unused;
  std::string bytes;
  const auto append = [&](const Tensor& tensor) {
    bytes.append(reinterpret_cast<const char*>(tensor.raw()), static_cast<size_t>(tensor.num_bytes()));
  };
  VerifyCase reader = verify::on_one_rank(run);
  reader.num_steps = 0;
  const auto read = [&](Context& context, Communicator& world, TrainingRank& rank) {
    CheckpointStore(unused.path(), world, {}, "reader")
        .restore(context, step_directory, {}, rank.store(), rank.optimizer().state());
    append(rank.store().values());
    append(rank.store().masters());
    for (const OptimizerState& one : rank.optimizer().state()) append(one.flat);
    const Tensor& buffers = rank.store().buffer_values();
    if (!buffers.defined()) return;
    append(buffers);
    EXPECT_NE(testing::values_of(buffers).front(), rank.store().buffers().front()->initial);
  };
  verify::run_on_threads(reader, {.before = read});
  return bytes;
}

/// A step in every layout of the chain, a checkpoint between them. What is restored is saved again at once,
/// so that its bytes can be compared. Returns the trace of the last layout.
Trace train_through_chain(VerifyCase run) {
  Trace last;
  run.num_steps = 1;
  TemporaryFolder saved, again;
  for (size_t i = 0; i < std::size(kChain); ++i) {
    const Layout& layout = kChain[i];
    const auto step = static_cast<int64_t>(i);
    run.first_step = step + 1;
    run.rank.parallel = layout.parallel();
    run.num_ranks = layout.tensor * layout.data * layout.pipeline;
    const auto before = [&](Context& context, Communicator& world, TrainingRank& rank) {
      if (step == 0) return;
      CheckpointStore store(steps_path(again, step), world, {}, "run", rank.model().parameters());
      const TrainingState state =
          store.restore(context, step_path(saved, step), {}, rank.store(), rank.optimizer().state());
      EXPECT_EQ(state.step, step);
      store.save(context, state, rank.store(), rank.optimizer().state());
    };
    const auto after = [&](Context& context, Communicator& world, TrainingRank& rank) {
      CheckpointStore store(steps_path(saved, step + 1), world, {}, "run", rank.model().parameters());
      store.save(context, state_at(step + 1), rank.store(), rank.optimizer().state());
    };
    last = verify::run_on_threads(run, {before, after});
    if (step == 0) continue;
    EXPECT_TRUE(content(step_path(saved, step), run) == content(step_path(again, step), run))
        << kChain[i - 1].name << " -> " << layout.name;
  }
  return last;
}

class CheckpointParity : public ::testing::TestWithParam<bool> {};

TEST_P(CheckpointParity, ARunThatChangesItsLayoutAtEveryStepIsThatOfOneRank) {
  VerifyCase run = testing::parity_run(model(GetParam()));
  run.num_steps = std::ssize(kChain);
  run.rank.micro_batch_size = 2;
  const Trace alone = verify::run_on_threads(verify::on_one_rank(run));
  const Trace moved = train_through_chain(run);
  Trace last = alone;
  last.steps = {alone.steps.back()};
  const verify::Difference difference = verify::compare(moved, last);
  testing::expect_within(difference, 1e-10, "after the last layout");
  RecordProperty("worst_fp64", fmt::format("{:.2e}", std::max(difference.worst_gradient().gradient,
                                                              difference.worst_weight().weight)));
}

TEST_P(CheckpointParity, EveryBitSurvivesEveryChangeOfLayoutWithMasterWeights) {
  VerifyCase run = testing::parity_run(model(GetParam()), Precision::kBf16);
  run.rank.micro_batch_size = 2;
  train_through_chain(run);
}

TEST(CheckpointOfBatchNorm, EveryBitOfItsRunningStatisticsSurvivesEveryChangeOfLayout) {
  ModelConfig config = model(false);
  config.normalization = Normalization::kBatchNorm;
  VerifyCase run = testing::parity_run(config, Precision::kBf16);
  run.rank.micro_batch_size = 2;
  train_through_chain(run);
}

INSTANTIATE_TEST_SUITE_P(Models, CheckpointParity, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Llama" : "Gpt2"; });

}  // namespace
}  // namespace trireme
