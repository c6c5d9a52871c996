#include "core/optim/loss_scaler.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"

namespace trireme {
namespace {

PrecisionConfig fp16() {
  PrecisionConfig config;
  config.dtype = Precision::kFp16;
  config.initial_loss_scale = 8;
  config.loss_scale_window = 3;
  return config;
}

struct Step {
  bool finite;
  double scale;  ///< after the step
};

/// Window 3, hysteresis 2, smallest scale 1, worked out by hand from Megatron-LM's rule.
constexpr Step kSteps[] = {
    {true, 8},  {true, 8},  {true, 16},   // the window is full: twice
    {true, 16}, {true, 16}, {false, 16},  // first bad step: hysteresis, and the window starts anew
    {true, 16}, {true, 16}, {false, 8},   // second one: half; the good ones between do not help
    {false, 4}, {true, 4},  {false, 2},   // the hysteresis is used up: each halves
    {true, 2},  {true, 2},  {true, 4},    // growth fills it again
    {false, 4}, {false, 2}, {false, 1},  {false, 1},  // not below the smallest
    {true, 1},  {true, 1},  {true, 2},   {true, 2},  {true, 2}, {true, 4},
};

TEST(LossScaler, FollowsATableWorkedOutByHand) {
  LossScaler scaler(fp16());
  EXPECT_EQ(scaler.scale(), 8);
  int64_t skipped = 0, in_row = 0;
  for (size_t i = 0; i < std::size(kSteps); ++i) {
    EXPECT_EQ(scaler.update(kSteps[i].finite), kSteps[i].finite) << i;
    EXPECT_EQ(scaler.scale(), kSteps[i].scale) << i;
    skipped += kSteps[i].finite ? 0 : 1;
    in_row = kSteps[i].finite ? 0 : in_row + 1;
    EXPECT_EQ(scaler.num_skipped(), skipped) << i;
    EXPECT_EQ(scaler.num_skipped_in_row(), in_row) << i;
  }
}

TEST(LossScaler, GoesOnAfterARestartAtAnyStep) {
  for (size_t stop = 0; stop < std::size(kSteps); ++stop) {
    LossScaler scaler(fp16());
    for (size_t i = 0; i < stop; ++i) scaler.update(kSteps[i].finite);
    LossScaler restored = LossScaler::from_json(fp16(), scaler.to_json());
    EXPECT_EQ(restored.to_json(), scaler.to_json());
    for (size_t i = stop; i < std::size(kSteps); ++i) {
      restored.update(kSteps[i].finite);
      EXPECT_EQ(restored.scale(), kSteps[i].scale) << "restarted after " << stop << " steps, step " << i;
    }
  }
}

TEST(LossScaler, KeepsAConstantScaleButSkipsAndCounts) {
  PrecisionConfig config = fp16();
  config.loss_scale = 128;
  LossScaler scaler(config);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(scaler.update(i < 4), i < 4);
  EXPECT_EQ(scaler.scale(), 128);
  EXPECT_EQ(scaler.num_skipped(), 6);
  EXPECT_EQ(LossScaler::from_json(config, scaler.to_json()).num_skipped_in_row(), 6);
  EXPECT_EQ(LossScaler::from_json(fp16(), scaler.to_json()).scale(), 8) << "dynamic from now on";
}

TEST(LossScaler, LeavesOtherTypesUnscaled) {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp64}) {
    PrecisionConfig config = fp16();
    config.dtype = precision;
    LossScaler scaler(config);
    for (int i = 0; i < 7; ++i) EXPECT_TRUE(scaler.update(true));
    EXPECT_FALSE(scaler.update(false));
    EXPECT_EQ(scaler.scale(), 1);
  }
}

TEST(LossScaler, StaysFiniteHoweverManyStepsAreGood) {
  PrecisionConfig config = fp16();
  config.loss_scale_window = 1;
  LossScaler scaler(config);
  for (int i = 0; i < 5000; ++i) scaler.update(true);
  EXPECT_EQ(scaler.scale(), std::ldexp(1.0, 64));
}

TEST(LossScaler, RefusesADamagedState) {
  const auto error_of = [](const std::string& text) -> std::string {
    try {
      LossScaler::from_json(fp16(), text);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(LossScaler::from_json(fp16(), "{}").scale(), 8);
  EXPECT_EQ(error_of("[1]"), "state of the loss scaler: given no JSON object; restore another checkpoint");
  EXPECT_EQ(error_of(R"({"num_skipped": 3})"),
            "state of the loss scaler: num_skipped_in_row: given nothing, expected a number from 0 to 3; the "
            "checkpoint is damaged, restore another one");
  for (const char* scale : {"0", "-2", "1e30", "\"16\"", "null"})
    EXPECT_NE(error_of(std::string(R"({"num_skipped": 0, "num_skipped_in_row": 0, "num_finite": 0, )") +
                       R"("hysteresis_left": 1, "scale": )" + scale + "}")
                  .find("scale: given"),
              std::string::npos)
        << scale;
}

}  // namespace
}  // namespace trireme
