#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "parallel/pipeline/schedule.h"
#include "tests/support/parity.h"

namespace trireme {
namespace {

using verify::Trace;
using verify::VerifyCase;

struct Layout {
  PipelineSchedule schedule;
  int stages;
  int chunks = 1;
  int data_ranks = 1;
  int64_t micro_batch_size = 2;
  std::vector<int64_t> layers = {};
  int tensor_ranks = 1;
  bool sequence = false;
  int64_t zero_stage = 0;
};

std::string describe(const Layout& layout) {
  return fmt::format(
      "{}, {} stages x {} chunks x {} data ranks, micro-batches of {}, layers [{}], {} tensor ranks{}, ZeRO "
      "{}",
      name_of(layout.schedule), layout.stages, layout.chunks, layout.data_ranks, layout.micro_batch_size,
      fmt::join(layout.layers, ", "), layout.tensor_ranks,
      layout.sequence ? " with sequence parallelism" : "", layout.zero_stage);
}

const std::vector<Layout>& layouts() {
  using enum PipelineSchedule;
  static const std::vector<Layout> all = {
      {kGpipe, 2},
      {k1f1b, 2},
      {k1f1b, 3},
      {k1f1b, 4, 1, 1, 1},
      {k1f1b, 4, 1, 1, 12},  // one micro-batch, more stages
      {k1f1b, 2, 1, 1, 2, {4, 1}},
      {k1f1b, 4, 1, 1, 3, {0, 2, 3, 0}},
      {kGpipe, 3, 1, 1, 1, {1, 3, 1}},
      {kInterleaved, 2, 2},
      {kInterleaved, 2, 3, 1, 1},
      {kInterleaved, 3, 2, 1, 4},
      {kInterleaved, 1, 3},
      {kInterleaved, 2, 2, 1, 2, {2, 1, 1, 1}},
      {kZeroBubble, 2},
      {kZeroBubble, 3, 1, 1, 1},
      {kZeroBubble, 4, 1, 1, 1},
      {k1f1b, 2, 1, 2},
      {k1f1b, 3, 1, 3, 1},
      {kInterleaved, 2, 2, 2, 1},
      {kZeroBubble, 2, 1, 3, 1},
      {kGpipe, 2, 1, 4, 1},
      {k1f1b, 1, 1, 1, 2, {}, 2},
      {k1f1b, 2, 1, 1, 2, {}, 2},
      {k1f1b, 2, 1, 1, 2, {}, 2, true},
      {kInterleaved, 2, 2, 2, 2, {}, 2, true},
      {kZeroBubble, 3, 1, 1, 2, {}, 2, true},
      {k1f1b, 2, 1, 3, 2, {}, 1, false, 1},
      {kInterleaved, 2, 2, 2, 2, {}, 2, true, 1},
  };
  return all;
}

VerifyCase run_of(const Layout& layout, const ModelConfig& model, Precision precision, int64_t num_steps) {
  VerifyCase run = testing::parity_run(model, precision);
  run.num_steps = num_steps;
  run.num_ranks = layout.stages * layout.data_ranks * layout.tensor_ranks;
  run.rank.micro_batch_size = layout.micro_batch_size;
  run.rank.parallel.pipeline_schedule = layout.schedule;
  run.rank.parallel.pipeline_model_parallel_size = layout.stages;
  run.rank.parallel.virtual_pipeline_model_parallel_size = layout.chunks;
  run.rank.parallel.pipeline_layout = layout.layers;
  run.rank.parallel.tensor_model_parallel_size = layout.tensor_ranks;
  run.rank.parallel.sequence_parallel = layout.sequence;
  run.rank.parallel.zero_stage = layout.zero_stage;
  return run;
}

/// Five layers; GPT-2's embedding is tied to its head, on the other end of the pipeline.
class PipelineParity : public ::testing::TestWithParam<bool> {
 protected:
  ModelConfig model() const {
    ModelConfig config = GetParam() ? testing::parity_llama() : testing::parity_gpt2();
    config.num_layers = 5;
    if (GetParam()) config.num_query_groups = 2;  // so that two tensor ranks can share the heads
    return config;
  }
};

TEST_P(PipelineParity, EveryLayoutGivesTheGradientsAndLossesOfOneRank) {
  const Trace alone =
      verify::run_on_threads(verify::on_one_rank(run_of(layouts().front(), model(), Precision::kFp64, 4)));
  double worst = 0;
  for (const Layout& layout : layouts()) {
    const Trace trace = verify::run_on_threads(run_of(layout, model(), Precision::kFp64, 4));
    const verify::Difference difference = verify::compare(trace, alone);
    testing::expect_within(difference, 1e-12, describe(layout));
    worst = std::max(worst, difference.worst_gradient().gradient);
  }
  RecordProperty("worst_fp64", fmt::format("{:.2e}", worst));
}

TEST_P(PipelineParity, RecomputedLayersGiveTheSameBits) {
  for (const Layout& layout : layouts()) {
    VerifyCase run = run_of(layout, model(), Precision::kFp64, 2);
    const Trace kept = verify::run_on_threads(run);
    run.rank.step.recompute.granularity = RecomputeGranularity::kFull;
    EXPECT_EQ(verify::run_on_threads(run), kept) << describe(layout);
  }
}

TEST_P(PipelineParity, TheSameLayoutTwiceIsBitIdentical) {
  using enum PipelineSchedule;
  for (const Layout& layout : {Layout{k1f1b, 2, 1, 2}, Layout{kInterleaved, 2, 2}, Layout{kZeroBubble, 3}}) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      const VerifyCase run = run_of(layout, model(), precision, 3);
      EXPECT_EQ(verify::run_on_threads(run), verify::run_on_threads(run)) << describe(layout);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, PipelineParity, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Llama" : "Gpt2"; });

}  // namespace
}  // namespace trireme
