#include "parallel/step/layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/tiny_models.h"

namespace trireme {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

RankOptions options_of(const ParallelConfig& parallel) {
  RankOptions options;
  options.model = testing::tiny_gpt2();
  options.model.num_layers = 4;
  options.parallel = parallel;
  options.micro_batch_size = 2;
  options.global_batch_size = 16;
  options.seq_length = 6;
  return options;
}

TEST(Layout, IsDescribedInOneLine) {
  EXPECT_EQ(describe_layout(options_of({}), 2), "tensor 1 x pipeline 1 x data 2");
  ParallelConfig banks;
  banks.tensor_model_parallel_size = banks.pipeline_model_parallel_size = 2;
  banks.sequence_parallel = true;
  banks.zero_stage = 1;
  // 4 micro-batches: (p - 1) / (m + p - 1) = 1 / 5 (arXiv:2104.04473, section 2.2).
  EXPECT_EQ(describe_layout(options_of(banks), 8),
            "tensor 2 (sequence parallel) x pipeline 2 x data 2 (ZeRO-1); 1f1b over 4 micro-batches, layers "
            "2 | 2, bubble of equal stages 20.0 %");
  ParallelConfig chunks;
  chunks.pipeline_model_parallel_size = chunks.virtual_pipeline_model_parallel_size = 2;
  chunks.pipeline_schedule = PipelineSchedule::kInterleaved;
  // 8 micro-batches in 2 chunks: (p - 1) / (v m + p - 1) = 1 / 17.
  EXPECT_EQ(
      describe_layout(options_of(chunks), 2),
      "tensor 1 x pipeline 2 x data 1; interleaved over 8 micro-batches, layers 1 + 1 | 1 + 1, bubble of "
      "equal stages 5.9 %");
}

TEST(Layout, EveryReasonAgainstItIsToldAtOnce) {
  EXPECT_THAT(layout_errors(options_of({}), 8), IsEmpty());
  ParallelConfig wrong;
  wrong.tensor_model_parallel_size = 5;
  wrong.sequence_parallel = true;
  wrong.pipeline_model_parallel_size = 2;
  wrong.virtual_pipeline_model_parallel_size = 2;  // needs interleaved
  wrong.pipeline_layout = {1, 1, 1};
  const std::vector<std::string> errors = layout_errors(options_of(wrong), 8);
  EXPECT_THAT(errors,
              ElementsAre(HasSubstr("interleaved"), HasSubstr("num_attention_heads"),
                          HasSubstr("micro_batch_size 2 x seq_length 6 = 12 rows do not divide over 5"),
                          HasSubstr("parallel.pipeline_layout")));
  ParallelConfig alone;
  alone.sequence_parallel = true;
  EXPECT_THAT(layout_errors(options_of(alone), 8),
              ElementsAre(HasSubstr("expected false with tensor_model_parallel_size 1")));
}

TEST(Layout, RecurrentLayersAreNotSplitOverTensorRanks) {
  ParallelConfig split;
  split.tensor_model_parallel_size = 2;
  RankOptions options = options_of(split);
  options.model = family_named("recurrent").defaults();
  options.model.vocab_size = 11;
  options.model.resolve(0, 6);
  EXPECT_THAT(layout_errors(options, 8),
              ElementsAre(HasSubstr("given 2, expected 1 with model.family recurrent")));
}

}  // namespace
}  // namespace trireme
