#include "core/optim/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace trireme {
namespace {

OptimizerConfig schedule(LrDecayStyle style) {
  OptimizerConfig config;
  config.lr = 1.0;
  config.min_lr = 0.1;
  config.lr_decay_style = style;
  config.lr_warmup_iters = 10;
  config.lr_decay_iters = 110;
  return config;
}

constexpr LrDecayStyle kAll[] = {LrDecayStyle::kConstant, LrDecayStyle::kLinear, LrDecayStyle::kCosine,
                                 LrDecayStyle::kInverseSquareRoot, LrDecayStyle::kWsd};

TEST(LearningRate, WarmsUpLinearlyInEveryStyle) {
  for (const LrDecayStyle style : kAll) {
    const OptimizerConfig config = schedule(style);
    EXPECT_DOUBLE_EQ(learning_rate(config, 500, 1), 0.1);
    EXPECT_DOUBLE_EQ(learning_rate(config, 500, 5), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate(config, 500, 10), 1.0);
  }
}

TEST(LearningRate, StartsAtTheTopWithoutWarmup) {
  for (const LrDecayStyle style : kAll) {
    OptimizerConfig config = schedule(style);
    config.lr_warmup_iters = 0;
    config.lr_decay_iters = 1000000;
    EXPECT_NEAR(learning_rate(config, 500, 1), 1.0, 1e-5);
  }
}

TEST(LearningRate, FollowsTheFormulaOfItsStyle) {
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrDecayStyle::kConstant), 500, 77), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrDecayStyle::kLinear), 500, 35), 1.0 - 0.9 * 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrDecayStyle::kCosine), 500, 60), 0.1 + 0.45);
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrDecayStyle::kCosine), 500, 35),
                   0.1 + 0.45 * (1 + std::cos(M_PI / 4)));
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrDecayStyle::kInverseSquareRoot), 500, 40), 0.5);
}

TEST(LearningRate, OfWsdIsFlatThenFallsLinearly) {
  OptimizerConfig config = schedule(LrDecayStyle::kWsd);
  config.lr_wsd_decay_iters = 20;
  EXPECT_DOUBLE_EQ(learning_rate(config, 500, 11), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(config, 500, 90), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(config, 500, 95), 1.0 - 0.9 * 0.25);
  EXPECT_DOUBLE_EQ(learning_rate(config, 500, 110), 0.1);
}

// Values of torch.optim.lr_scheduler.LambdaLR 2.13.0 with d = 512, warm-up 4000, factor 2.
TEST(LearningRate, OfNoamIsThatOfTheOriginalTransformer) {
  OptimizerConfig config;
  config.lr_decay_style = LrDecayStyle::kNoam;
  config.lr_warmup_iters = 4000;
  config.noam_model_size = 512;
  config.noam_factor = 2;
  const std::pair<int64_t, double> expected[] = {
      {1, 3.493856214843422e-07},    {100, 3.493856214843422e-05}, {3999, 0.0013971931003158842},
      {4000, 0.0013975424859373686}, {4001, 0.001397367825874706}, {16000, 0.0006987712429686843}};
  for (const auto& [step, lr] : expected)
    EXPECT_DOUBLE_EQ(learning_rate(config, 7, step), lr) << "step " << step;
}

// BERT's schedule (google-research/bert, optimization.py): linear warm-up, then linear decay to 0. Values of
// transformers.get_linear_schedule_with_warmup with lr 1e-4, 10 steps of warm-up, 110 steps. Theirs counts
// from 0, so that the first update has rate 0; ours from 1.
TEST(LearningRate, OfLinearDecayToZeroIsThatOfBert) {
  OptimizerConfig config;
  config.lr = 1e-4;
  config.lr_decay_style = LrDecayStyle::kLinear;
  config.lr_warmup_iters = 10;
  const std::pair<int64_t, double> expected[] = {{1, 1e-05},
                                                 {5, 5e-05},
                                                 {10, 0.0001},
                                                 {11, 9.900000000000001e-05},
                                                 {35, 7.500000000000001e-05},
                                                 {60, 5e-05},
                                                 {109, 1.0000000000000002e-06},
                                                 {110, 0.0}};
  for (const auto& [step, lr] : expected)
    EXPECT_NEAR(learning_rate(config, 110, step), lr, 1e-18) << "step " << step;
}

TEST(LearningRate, StaysAtTheMinimumAfterTheDecay) {
  for (const LrDecayStyle style : {LrDecayStyle::kLinear, LrDecayStyle::kCosine, LrDecayStyle::kWsd}) {
    EXPECT_DOUBLE_EQ(learning_rate(schedule(style), 500, 110), 0.1);
    EXPECT_DOUBLE_EQ(learning_rate(schedule(style), 500, 400), 0.1);
  }
  EXPECT_DOUBLE_EQ(learning_rate(schedule(LrDecayStyle::kInverseSquareRoot), 500, 1000000), 0.1);
}

TEST(LearningRate, DecaysOverTheWholeRunWhereNothingElseIsSaid) {
  OptimizerConfig config = schedule(LrDecayStyle::kLinear);
  config.lr_decay_iters = 0;
  EXPECT_DOUBLE_EQ(learning_rate(config, 210, 110), 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(config, 210, 210), 0.1);
}

}  // namespace
}  // namespace trireme
