#include "parallel/verify/shrink.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "parallel/step/layout.h"
#include "parallel/verify/verify.h"

namespace trireme {
namespace {

using verify::Shrunk;
using verify::VerifyCase;

/// GPT-2 124M on data ranks alone.
VerifyCase gpt2() {
  VerifyCase full;
  full.num_ranks = 8;
  full.rank.model.vocab_size = 50257;
  full.rank.seq_length = 1024;
  full.rank.model.resolve(0, 1024);
  full.rank.micro_batch_size = 4;
  full.rank.global_batch_size = 64;
  return full;
}

VerifyCase with(int64_t tensor, int64_t pipeline, int64_t data) {
  VerifyCase full = gpt2();
  full.rank.parallel.tensor_model_parallel_size = tensor;
  full.rank.parallel.pipeline_model_parallel_size = pipeline;
  full.num_ranks = static_cast<int>(tensor * pipeline * data);
  return full;
}

TEST(Shrink, EachAxisBecomesTwoWhereItDividesEvenly) {
  VerifyCase full = with(4, 4, 8);
  full.rank.model.vocab_size = 50256;
  full.rank.global_batch_size = 256;
  const VerifyCase run = verify::shrink(full).run;
  EXPECT_EQ(run.num_ranks, 8);
  EXPECT_EQ(run.rank.parallel.tensor_model_parallel_size, 2);
  EXPECT_EQ(run.rank.parallel.pipeline_model_parallel_size, 2);
  EXPECT_EQ(run.rank.model.vocab_size % 2, 0);
  EXPECT_EQ(run.rank.model.num_layers % 2, 0);
}

TEST(Shrink, AnUnevenAxisBecomesThreeAndKeepsARemainder) {
  const VerifyCase run = verify::shrink(with(4, 1, 2)).run;  // 50257 = 4 * 12564 + 1
  EXPECT_EQ(run.rank.parallel.tensor_model_parallel_size, 3);
  EXPECT_NE(run.rank.model.vocab_size % 3, 0);
  EXPECT_EQ(run.rank.model.num_attention_heads % 3, 0);

  const VerifyCase stages = verify::shrink(with(1, 5, 1)).run;  // 12 layers over 5
  EXPECT_EQ(stages.rank.parallel.pipeline_model_parallel_size, 3);
  EXPECT_NE(stages.rank.model.num_layers % 3, 0);
}

TEST(Shrink, KeepsHowKeyHeadsMeetTensorRanks) {
  VerifyCase full = with(8, 1, 1);
  full.rank.model.num_attention_heads = 32;
  full.rank.model.kv_channels = 64;
  for (const int64_t groups : {1, 4, 8, 16, 32}) {
    full.rank.model.num_query_groups = groups;
    const RankOptions small = verify::shrink(full).run.rank;
    const int64_t tensor = small.parallel.tensor_model_parallel_size;
    EXPECT_EQ(small.model.num_attention_heads % tensor, 0);
    EXPECT_EQ(small.model.num_attention_heads % small.model.num_query_groups, 0);
    EXPECT_EQ(small.model.num_query_groups < tensor, groups < 8) << groups;
    EXPECT_EQ(small.model.num_query_groups > 1, groups > 1) << groups;
    EXPECT_EQ(small.model.num_query_groups < small.model.num_attention_heads, groups < 32) << groups;
  }
}

TEST(Shrink, KeepsEmptyAndLargerStagesOfAGivenLayout) {
  VerifyCase full = with(1, 4, 1);
  full.rank.parallel.pipeline_layout = {0, 5, 5, 2};
  const VerifyCase run = verify::shrink(full).run;
  EXPECT_EQ(run.rank.parallel.pipeline_layout, (std::vector<int64_t>{0, 2, 1}));
  EXPECT_EQ(run.rank.model.num_layers, 3);
}

TEST(Shrink, KeepsHowMicroBatchesMeetStages) {
  struct Line {
    int64_t micro_batches, small;  // four stages become two
  };
  for (const Line& line : {Line{1, 1}, {3, 1}, {4, 2}, {5, 5}, {8, 4}}) {
    VerifyCase full = with(1, 4, 1);
    full.rank.global_batch_size = full.rank.micro_batch_size * line.micro_batches;
    const RankOptions small = verify::shrink(full).run.rank;
    EXPECT_EQ(small.global_batch_size, small.micro_batch_size * line.small) << line.micro_batches;
  }
}

TEST(Shrink, NeverTakesMoreThanSixteenRanksAndSaysWhatItDropped) {
  VerifyCase full = with(4, 5, 8);
  full.rank.global_batch_size = 256;
  const Shrunk shrunk = verify::shrink(full);
  EXPECT_EQ(shrunk.run.num_ranks, 12);
  EXPECT_EQ(shrunk.dropped.size(), 1u);
}

TEST(Shrink, SaysThatReluIsShownInFp64Alone) {
  VerifyCase full = with(2, 1, 1);
  EXPECT_TRUE(verify::shrink(full).dropped.empty());
  full.rank.model.activation = FeedForwardActivation::kRelu;
  ASSERT_EQ(verify::shrink(full).dropped.size(), 1u);
  EXPECT_NE(verify::shrink(full).dropped[0].find("relu in fp32"), std::string::npos);
  full.rank.precision.dtype = Precision::kFp64;
  EXPECT_TRUE(verify::shrink(full).dropped.empty());
}

TEST(Shrink, OfARecurrentModelIsOne) {
  VerifyCase full = with(1, 2, 2);
  full.rank.model = family_named("recurrent").defaults();
  full.rank.model.bidirectional_encoder = true;
  full.rank.model.vocab_size = 5000;
  full.rank.model.resolve(0, 100);
  VerifyCase run = verify::shrink(full).run;
  EXPECT_LT(run.rank.model.hidden_size, 16);
  EXPECT_NO_THROW(run.rank.model.resolve(0, run.rank.seq_length));
}

/// Configs that train, of any sizes: what is made of them trains, too.
TEST(Shrink, GivesAModelThatIsAllowedInALayoutThatIs) {
  using enum PositionEmbedding;
  int64_t num_cases = 0;
  const auto check = [&](VerifyCase full, const std::string& what) {
    try {
      full.rank.model.resolve(0, full.rank.seq_length);
    } catch (const ConfigError&) {
      return;  // does not train
    }
    if (!layout_errors(full.rank, 4).empty()) return;
    ++num_cases;
    VerifyCase run = verify::shrink(full).run;
    EXPECT_NO_THROW(run.rank.model.resolve(0, run.rank.seq_length)) << what;
    EXPECT_TRUE(layout_errors(run.rank, 4).empty()) << what << ": " << layout_errors(run.rank, 4).front();
  };
  for (const char* family : {"gpt", "bert", "transformer", "recurrent"})
    for (const auto positions : {kLearnedAbsolute, kSinusoidal, kRope, kRelativeXl, kNone})
      for (const int64_t heads : {1, 3, 4, 6})
        for (const int64_t channels : {0, 5, 6})
          for (const int64_t tensor : {1, 2, 3})
            for (const int64_t hidden : {30, 36, 45, 60}) {
              VerifyCase full = with(tensor, 1, 2);
              ModelConfig& model = full.rank.model;
              model = family_named(family).defaults();
              model.position_embedding_type = positions;
              model.num_attention_heads = heads;
              model.kv_channels = channels;
              model.hidden_size = hidden;
              model.vocab_size = 5000;
              model.feed_forward = heads != 6;
              model.bidirectional_encoder = model.recurrent() && channels == 0;
              check(full, fmt::format("{} positions {} heads {} channels {} tensor {} hidden {}", family,
                                      static_cast<int>(positions), heads, channels, tensor, hidden));
            }
  EXPECT_GT(num_cases, 300);
}

TEST(Shrink, KeepsWhatIsNoSize) {
  VerifyCase full = with(2, 2, 2);
  RankOptions& rank = full.rank;
  rank.parallel.pipeline_schedule = PipelineSchedule::kZeroBubble;
  rank.parallel.zero_stage = 1;
  rank.parallel.sequence_parallel = true;
  rank.parallel.rank_order = "dp-cp-ep-tp-pp";
  rank.precision.dtype = Precision::kBf16;
  rank.optimizer.optimizer = OptimizerKind::kSgd;
  rank.step.recompute.granularity = RecomputeGranularity::kSelective;
  rank.model.hidden_dropout = 0.3;
  rank.model.untie_embeddings_and_output_weights = true;
  full.packed_documents = true;
  full.hidden_tokens = true;
  const VerifyCase run = verify::shrink(full).run;
  EXPECT_EQ(run.rank.parallel.pipeline_schedule, PipelineSchedule::kZeroBubble);
  EXPECT_EQ(run.rank.parallel.zero_stage, 1);
  EXPECT_TRUE(run.rank.parallel.sequence_parallel);
  EXPECT_EQ(run.rank.parallel.rank_order, "dp-cp-ep-tp-pp");
  EXPECT_EQ(run.rank.precision.dtype, Precision::kBf16);
  EXPECT_EQ(run.rank.optimizer.optimizer, OptimizerKind::kSgd);
  EXPECT_EQ(run.rank.step.recompute.granularity, RecomputeGranularity::kSelective);
  EXPECT_EQ(run.rank.model.hidden_dropout, 0.3);
  EXPECT_TRUE(run.rank.model.untie_embeddings_and_output_weights);
  EXPECT_TRUE(run.packed_documents);
  EXPECT_TRUE(run.hidden_tokens);
}

}  // namespace
}  // namespace trireme
