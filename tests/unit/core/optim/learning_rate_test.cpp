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
