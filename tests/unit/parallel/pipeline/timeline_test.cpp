#include "parallel/pipeline/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <regex>

#include "parallel/pipeline/schedule_timing.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Timeline example() {
  const Schedule schedule = make_schedule(PipelineSchedule::kInterleaved, 2, 2, 12);
  return time_schedule(schedule, std::vector<ActionCosts>(4, {0.001, 0.001, 0.001, 0.0005}));
}

/// What is wrong with it as XML: tags that do not close in order, or stray text. Attributes must be quoted.
std::string fault_in_xml(const std::string& xml) {
  static const std::regex kTag(R"re(<(/?)([a-z]+)((?:\s+[a-zA-Z-]+="[^"<&]*")*)\s*(/?)>|([^<>&]+))re");
  std::vector<std::string> open;
  auto at = xml.cbegin();
  for (std::smatch match; at != xml.cend(); at = match[0].second) {
    if (!std::regex_search(at, xml.cend(), match, kTag, std::regex_constants::match_continuous))
      return "unreadable: " + std::string(at, std::min(at + 60, xml.cend()));
    if (match[5].matched || match[4].length() > 0) continue;
    if (match[1].length() == 0) {
      open.push_back(match[2]);
    } else {
      if (open.empty() || open.back() != match[2]) return "closes " + match[2].str();
      open.pop_back();
    }
  }
  return open.empty() ? "" : "never closes " + open.back();
}

size_t count(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<size_t>(std::distance(std::sregex_iterator(text.begin(), text.end(), regex), {}));
}

TEST(Timeline, TheBubbleIsTheShareOfTimeWithoutWork) {
  const Timeline timeline = {{4, 0, {Action::Kind::kForward, 0, 0}, 10, 11},
                             {4, 0, {Action::Kind::kReceiveBackward, 0, 0}, 11, 13},
                             {4, 0, {Action::Kind::kBackward, 0, 0}, 13, 14},
                             {5, 1, {Action::Kind::kForward, 0, 0}, 11, 12}};
  EXPECT_EQ(span_of(timeline).seconds(), 4);
  EXPECT_DOUBLE_EQ(bubble_fraction(timeline), 1 - 3.0 / 8);
  EXPECT_EQ(bubble_fraction({}), 0);
}

TEST(Timeline, TheSvgIsWellFormedWithABoxForEachAction) {
  const std::string svg = to_svg(example());
  EXPECT_EQ(fault_in_xml(svg), "");
  EXPECT_EQ(count(svg, "<title>forward of micro-batch"), 2u * 2 * 12);
  EXPECT_EQ(count(svg, "<title>backward of micro-batch"), 2u * 2 * 12);
  EXPECT_GT(count(svg, "<title>receive forward"), 0u);
  EXPECT_EQ(count(svg, "rank [01], stage [01]"), 2u);
  EXPECT_THAT(svg, HasSubstr("2 ranks, "));
  EXPECT_THAT(svg, HasSubstr(">11</text>"));  // the last micro-batch's number fits its box
  EXPECT_THAT(svg, Not(HasSubstr("href")));   // nothing from outside
}

TEST(Timeline, TheSvgKeepsToItsFrameWhereverTheClockStarts) {
  Timeline timeline = example();
  for (TimelineEvent& event : timeline) event.begin += 1e5, event.end += 1e5;
  const std::string svg = to_svg(timeline);
  EXPECT_EQ(fault_in_xml(svg), "");
  const std::regex box(R"re(<rect x="([0-9.-]+)" y="([0-9.-]+)" width="([0-9.-]+)" height="([0-9.-]+)")re");
  std::smatch frame;
  ASSERT_TRUE(std::regex_search(svg, frame, std::regex(R"re(viewBox="0 0 ([0-9.]+) ([0-9.]+)")re")));
  for (std::sregex_iterator i(svg.begin(), svg.end(), box), end; i != end; ++i) {
    const auto number = [&](size_t group) { return std::stod((*i)[group]); };
    EXPECT_GE(number(1), 0);
    EXPECT_GE(number(3), 0);
    EXPECT_LE(number(1) + number(3), std::stod(frame[1]));
    EXPECT_LE(number(2) + number(4), std::stod(frame[2]));
  }
}

TEST(Timeline, NumbersAreLeftOutWhereTheyDoNotFit) {
  const Schedule schedule = make_schedule(PipelineSchedule::k1f1b, 2, 1, 400);
  const std::string svg = to_svg(time_schedule(schedule, {{1, 1, 1}, {1, 1, 1}}));
  EXPECT_EQ(count(svg, ">[0-9]+</text>"), 0u);
}

TEST(Timeline, AnEmptyTimelineIsStillAPictureAndATrace) {
  EXPECT_EQ(fault_in_xml(to_svg({})), "");
  EXPECT_TRUE(nlohmann::json::parse(to_chrome_trace({})).at("traceEvents").empty());
}

TEST(Timeline, TheChromeTraceHoldsEveryEventInMicroseconds) {
  const Timeline timeline = example();
  const auto trace = nlohmann::json::parse(to_chrome_trace(timeline));
  std::vector<nlohmann::json> complete, names;
  for (const auto& event : trace.at("traceEvents"))
    (event.at("ph") == "X" ? complete : names).push_back(event);
  ASSERT_EQ(complete.size(), timeline.size());
  for (size_t i = 0; i < timeline.size(); ++i) {
    const auto& [rank, stage, action, begin, end] = timeline[i];
    EXPECT_EQ(complete[i].at("tid"), rank);
    EXPECT_EQ(complete[i].at("cat"), name_of(action.kind));
    EXPECT_DOUBLE_EQ(complete[i].at("ts").get<double>(), begin * 1e6);
    EXPECT_NEAR(complete[i].at("dur").get<double>(), (end - begin) * 1e6, 1e-6);
    EXPECT_EQ(complete[i].at("args").at("stage"), stage);
    EXPECT_EQ(complete[i].at("args").at("micro_batch"), action.micro_batch);
    EXPECT_EQ(complete[i].at("args").at("chunk"), action.chunk);
  }
  ASSERT_EQ(names.size(), 2u);
  EXPECT_EQ(names[1].at("args").at("name"), "rank 1, stage 1");
}

}  // namespace
}  // namespace trireme
