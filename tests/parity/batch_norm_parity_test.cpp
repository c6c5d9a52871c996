// BatchNorm over ranks: the numbers of one rank whose micro-batch is that of all data ranks together.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tests/support/parity.h"

namespace trireme {
namespace {

using verify::Trace;
using verify::VerifyCase;

ModelConfig with_batch_norm(ModelConfig config) {
  config.normalization = Normalization::kBatchNorm;
  return config;
}

/// By number; BERT and the encoder-decoder get samples of several lengths.
ModelConfig model(int number) {
  const ModelConfig models[] = {testing::parity_gpt2(), testing::parity_bert(),
                                testing::parity_transformer()};
  return with_batch_norm(models[number]);
}

/// Steps of 12 samples in micro-batches of 4 over all data ranks.
struct Layout {
  const char* name;
  int tensor = 1, data = 1, pipeline = 1, chunks = 1;
  PipelineSchedule schedule = PipelineSchedule::k1f1b;
  bool sequence_parallel = false, zero = false;
  RecomputeGranularity recompute = RecomputeGranularity::kNone;
};

constexpr Layout kLayouts[] = {
    {.name = "one rank"},
    {.name = "2 data ranks", .data = 2},
    {.name = "4 data ranks, ZeRO 1", .data = 4, .zero = true},
    {.name = "2 data ranks, full recompute", .data = 2, .recompute = RecomputeGranularity::kFull},
    {.name = "selective recompute", .recompute = RecomputeGranularity::kSelective},
    {.name = "2 tensor ranks", .tensor = 2},
    {.name = "2 tensor ranks, row shards", .tensor = 2, .sequence_parallel = true},
    {.name = "2 tensor x 2 data ranks, row shards", .tensor = 2, .data = 2, .sequence_parallel = true},
    {.name = "2 stages", .pipeline = 2},
    {.name = "3 stages, zero bubble, full recompute",
     .pipeline = 3,
     .schedule = PipelineSchedule::kZeroBubble,
     .recompute = RecomputeGranularity::kFull},
    {.name = "2 stages x 2 chunks x 2 data ranks",
     .data = 2,
     .pipeline = 2,
     .chunks = 2,
     .schedule = PipelineSchedule::kInterleaved},
};

VerifyCase run_of(const Layout& layout, const ModelConfig& config, int64_t num_steps) {
  VerifyCase run = testing::parity_run(config);
  run.num_steps = num_steps;
  run.num_ranks = layout.tensor * layout.data * layout.pipeline;
  run.rank.micro_batch_size = 4 / layout.data;
  ParallelConfig& parallel = run.rank.parallel;
  parallel.tensor_model_parallel_size = layout.tensor;
  parallel.pipeline_model_parallel_size = layout.pipeline;
  parallel.virtual_pipeline_model_parallel_size = layout.chunks;
  parallel.pipeline_schedule = layout.schedule;
  parallel.sequence_parallel = layout.sequence_parallel;
  parallel.zero_stage = layout.zero ? 1 : 0;
  run.rank.step.recompute.granularity = layout.recompute;
  return run;
}

/// Buffers of the trace, one after another.
std::vector<double> buffers_of(const Trace& trace) {
  std::vector<double> all;
  for (size_t i = trace.weights.size(); i < trace.values.size(); ++i)
    all.insert(all.end(), trace.values[i].begin(), trace.values[i].end());
  return all;
}

class BatchNormParity : public ::testing::TestWithParam<int> {};

TEST_P(BatchNormParity, EveryLayoutOfOneMicroBatchOverItsDataRanksIsOneRank) {
  const ModelConfig config = model(GetParam());
  const Trace alone = verify::run_on_threads(run_of({}, config, 10));
  EXPECT_FALSE(buffers_of(alone).empty());
  EXPECT_LT(alone.steps.back().loss, alone.steps.front().loss);
  double worst = 0;
  for (const Layout& layout : kLayouts) {
    const VerifyCase run = run_of(layout, config, 10);
    const Trace trace = verify::run_on_threads(run);
    ASSERT_EQ(buffers_of(trace).size(), buffers_of(alone).size()) << layout.name;
    const verify::Difference difference = verify::compare(trace, alone);
    testing::expect_within(difference, 1e-10, layout.name);
    worst = std::max({worst, difference.worst_gradient().gradient, difference.worst_weight().weight});
    // The one-rank case that `verify` makes is the same one.
    const VerifyCase reference = verify::on_one_rank(run);
    EXPECT_EQ(reference.rank.micro_batch_size, 4) << layout.name;
  }
  RecordProperty("worst_fp64", fmt::format("{:.2e}", worst));
}

TEST_P(BatchNormParity, AnotherMicroBatchOverAllDataRanksIsAnotherModel) {
  const ModelConfig config = model(GetParam());
  VerifyCase run = run_of({}, config, 1);
  const Trace four = verify::run_on_threads(run);
  run.rank.micro_batch_size = 6;
  EXPECT_GT(verify::compare(verify::run_on_threads(run), four).loss, 1e-4);
}

TEST_P(BatchNormParity, TheSameLayoutTwiceIsBitIdentical) {
  VerifyCase run = run_of(kLayouts[7], model(GetParam()), 5);
  run.rank.precision.dtype = Precision::kBf16;
  EXPECT_EQ(verify::run_on_threads(run), verify::run_on_threads(run));
}

TEST_P(BatchNormParity, WithPaddingCountedWindowsOfOneLengthGiveTheNumbersOfOneRank) {
  ModelConfig config = model(GetParam());
  config.batch_norm_padding = true;
  const Trace alone = verify::run_on_threads(run_of({}, config, 3));
  testing::expect_within(verify::compare(verify::run_on_threads(run_of(kLayouts[1], config, 3)), alone),
                         1e-10, "made-up batches are as long as seq_length");
}

std::string name_of_model(const ::testing::TestParamInfo<int>& info) {
  constexpr const char* kNames[] = {"Gpt2", "Bert", "Transformer"};
  return kNames[info.param];
}

INSTANTIATE_TEST_SUITE_P(Models, BatchNormParity, ::testing::Values(0, 1, 2), name_of_model);

}  // namespace
}  // namespace trireme
