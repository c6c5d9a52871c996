#include "core/tensor/context.h"

#include <gtest/gtest.h>

#include <memory>

namespace trireme {
namespace {

TEST(DeferredWork, RunsAtOnceByDefault) {
  Context context;
  int runs = 0;
  context.weight_gradients.push(context, [&](Context&) { ++runs; });
  EXPECT_EQ(runs, 1);
  context.weight_gradients.drain(context);
  EXPECT_EQ(runs, 1);
}

TEST(DeferredWork, WaitsForTheDrainWhenDelayedAndKeepsTheOrder) {
  Context context;
  context.weight_gradients.delayed = true;
  std::vector<int> order;
  for (int i = 0; i < 3; ++i)
    context.weight_gradients.push(context, [&order, i](Context&) { order.push_back(i); });
  EXPECT_TRUE(order.empty());
  context.weight_gradients.drain(context);
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2}));
  context.weight_gradients.drain(context);
  EXPECT_EQ(order.size(), 3u);
}

TEST(DeferredWork, FreesWhatATaskHeldAsSoonAsItHasRun) {
  Context context;
  context.weight_gradients.delayed = true;
  auto held = std::make_shared<int>(0);
  context.weight_gradients.push(context, [held](Context&) {});
  long uses_in_the_second_task = 0;
  context.weight_gradients.push(context, [&](Context&) { uses_in_the_second_task = held.use_count(); });
  EXPECT_EQ(held.use_count(), 2);
  context.weight_gradients.drain(context);
  EXPECT_EQ(uses_in_the_second_task, 1);
}

TEST(DeferredWork, TakesTasksThatComeWhileItDrains) {
  Context context;
  context.weight_gradients.delayed = true;
  int runs = 0;
  context.weight_gradients.push(
      context, [&](Context& inner) { inner.weight_gradients.push(inner, [&](Context&) { ++runs; }); });
  context.weight_gradients.drain(context);
  EXPECT_EQ(runs, 0);
  context.weight_gradients.drain(context);
  EXPECT_EQ(runs, 1);
}

TEST(GradModeGuard, PutsTheModeBack) {
  Context context;
  {
    const GradModeGuard off(context, false);
    EXPECT_FALSE(context.grad_enabled);
    const GradModeGuard on(context, true);
    EXPECT_TRUE(context.grad_enabled);
  }
  EXPECT_TRUE(context.grad_enabled);
}

}  // namespace
}  // namespace trireme
