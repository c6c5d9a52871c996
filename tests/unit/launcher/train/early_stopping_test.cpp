#include "launcher/train/early_stopping.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

TrainingConfig patience(int64_t evaluations, double min_delta = 0,
                        const std::string& metric = "validation_loss") {
  TrainingConfig config;
  config.early_stopping_patience = evaluations;
  config.early_stopping_min_delta = min_delta;
  config.early_stopping_metric = metric;
  return config;
}

/// What observe() says of each value, "+" or ".", and "!" where it stops.
std::string run(EarlyStopping& stopping, const std::vector<double>& values,
                const std::string& metric = "validation_loss") {
  std::string text;
  int64_t step = 0;
  for (const double value : values) {
    text += stopping.observe(step += 10, {{metric, value}, {"other", 7}}) ? '+' : '.';
    if (stopping.should_stop()) text += '!';
  }
  return text;
}

TEST(EarlyStopping, CountsEvaluationsInARowWithoutImprovement) {
  EarlyStopping stopping(patience(2), {});
  EXPECT_EQ(run(stopping, {3, 2, 2.5, 1.5, 1.5, 1.6}), "++.+..!");
  EXPECT_EQ(stopping.progress().best, 1.5);
  EXPECT_EQ(stopping.progress().best_step, 40);
  EXPECT_EQ(stopping.reason(),
            "validation_loss has not improved for 2 evaluations; the best, 1.5, was at step 40");
}

TEST(EarlyStopping, IsOffWithPatienceZero) {
  EarlyStopping stopping(patience(0), {});
  EXPECT_EQ(run(stopping, {1, 2, 3}), "...");
}

TEST(EarlyStopping, AnImprovementIsMoreThanTheThreshold) {
  EarlyStopping stopping(patience(9, 0.5), {});
  EXPECT_EQ(run(stopping, {3, 2.5, 2.75, 2.25}), "+..+");
  EXPECT_EQ(run(stopping, {2, 1.75, 1.5}), "..+");  // always against the best
}

TEST(EarlyStopping, HigherIsBetterButForLossesAndPerplexities) {
  EarlyStopping accuracy(patience(9, 0, "accuracy"), {});
  EXPECT_EQ(run(accuracy, {0.5, 0.4, 0.6}, "accuracy"), "+.+");
  EarlyStopping perplexity(patience(9, 0, "mlm_perplexity"), {});
  EXPECT_EQ(run(perplexity, {0.5, 0.4, 0.6}, "mlm_perplexity"), "++.");
}

TEST(EarlyStopping, WhatIsNotANumberNeverImproves) {
  EarlyStopping stopping(patience(3), {});
  EXPECT_EQ(run(stopping, {std::nan(""), 2, std::nan(""), -HUGE_VAL, std::nan("")}), ".+...!");
  EarlyStopping hopeless(patience(1), {});
  EXPECT_EQ(run(hopeless, {std::nan("")}), ".!");
  EXPECT_EQ(hopeless.reason(), "validation_loss has not improved for 1 evaluation; none was a number");
}

TEST(EarlyStopping, GoesOnWhereItWasSavedUnlessTheMetricIsAnother) {
  EarlyStopping first(patience(3), {});
  run(first, {2, 1, 1.5});
  TrainingState state;
  set_early_stopping(state, first.progress());
  EarlyStopping second(patience(3), state);
  EXPECT_EQ(second.progress(), first.progress());
  EXPECT_EQ(run(second, {1.5, 1.5}), "..!");
  EarlyStopping other(patience(3, 0, "accuracy"), state);
  EXPECT_EQ(other.progress(), (EarlyStoppingProgress{.metric = "accuracy"}));
}

TEST(EarlyStopping, NamesTheMetricsThatThereAre) {
  EarlyStopping stopping(patience(3, 0, "bleu"), {});
  EXPECT_EQ(testing::message_of<ConfigError>([&] {
              stopping.observe(1, {{"accuracy", 1}, {"loss", 2}});
            }),
            "training.early_stopping_metric: given bleu, expected one of accuracy, loss");
}

}  // namespace
}  // namespace trireme
