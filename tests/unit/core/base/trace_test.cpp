#include "core/base/trace.h"

#include <gtest/gtest.h>

namespace trireme {
namespace {

TEST(Trace, AddsUpSecondsAndCallsByName) {
  Trace trace;
  trace.add("op/gemm", 0.5);
  trace.add("op/gemm", 0.25);
  trace.add("op/add", 1.0);
  EXPECT_EQ(trace.seconds("op/gemm"), 0.75);
  EXPECT_EQ(trace.entries().at("op/gemm").calls, 2);
  EXPECT_EQ(trace.seconds("op/none"), 0.0);
  trace.clear();
  EXPECT_TRUE(trace.entries().empty());
}

TEST(TraceSpan, CountsItsScopeAndNothingWhenSwitchedOff) {
  Trace trace;
  { const TraceSpan span(trace, "phase/forward"); }
  EXPECT_EQ(trace.entries().at("phase/forward").calls, 1);
  trace.enabled = false;
  { const TraceSpan span(trace, "phase/forward"); }
  EXPECT_EQ(trace.entries().at("phase/forward").calls, 1);
}

}  // namespace
}  // namespace trireme
