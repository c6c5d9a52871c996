#include "parallel/pipeline/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "parallel/pipeline/schedule_timing.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Timeline example() {
  const Schedule schedule = make_schedule(PipelineSchedule::kInterleaved, 2, 2, 12);
  return time_schedule(schedule, std::vector<ActionCosts>(4, {0.001, 0.001, 0.001, 0.0005}));
}

/// What is wrong with it as XML: tags that do not close in order, stray characters, open quotes.
std::string fault_in_xml(const std::string& xml) {
  std::vector<std::string> open;
  for (size_t at = 0; at < xml.size();) {
    const size_t begin = std::min(xml.find('<', at), xml.size()), end = xml.find('>', begin);
    if (xml.substr(at, begin - at).find_first_of(">&") != std::string::npos) return "stray character";
    if (begin == xml.size()) break;
    if (end == std::string::npos) return "a tag without end";
    const std::string tag = xml.substr(begin + 1, end - begin - 1);
    if (tag.find_first_of("<&") != std::string::npos || std::count(tag.begin(), tag.end(), '"') % 2 == 1)
      return "stray character in " + tag;
    if (tag.front() == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return "closes " + tag;
      open.pop_back();
    } else if (tag.back() != '/') {
      open.push_back(tag.substr(0, tag.find(' ')));
    }
    at = end + 1;
  }
  return open.empty() ? "" : "never closes " + open.back();
}

size_t count(const std::string& text, const std::string& part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

/// The number of an attribute in the tag that begins at `at`.
double attribute(const std::string& svg, size_t at, const std::string& name) {
  const std::string before = " " + name + "=\"";
  return std::stod(svg.substr(svg.find(before, at) + before.size()));
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
  EXPECT_EQ(count(svg, ">rank 0, stage 0<") + count(svg, ">rank 1, stage 1<"), 2u);
  EXPECT_THAT(svg, HasSubstr("2 ranks, "));
  EXPECT_THAT(svg, HasSubstr(">11</text>"));  // the last micro-batch's number fits its box
  EXPECT_THAT(svg, Not(HasSubstr("href")));   // nothing from outside
}

TEST(Timeline, TheSvgKeepsToItsFrameWhereverTheClockStarts) {
  Timeline timeline = example();
  for (TimelineEvent& event : timeline) event.begin += 1e5, event.end += 1e5;
  const std::string svg = to_svg(timeline);
  EXPECT_EQ(fault_in_xml(svg), "");
  size_t num_boxes = 0;
  for (size_t at = svg.find("<rect "); at != std::string::npos;
       at = svg.find("<rect ", at + 1), ++num_boxes) {
    EXPECT_GE(attribute(svg, at, "x"), 0);
    EXPECT_GE(attribute(svg, at, "width"), 0);
    EXPECT_LE(attribute(svg, at, "x") + attribute(svg, at, "width"), attribute(svg, 0, "width"));
    EXPECT_LE(attribute(svg, at, "y") + attribute(svg, at, "height"), attribute(svg, 0, "height"));
  }
  EXPECT_GT(num_boxes, 96u);
}

TEST(Timeline, NumbersAreLeftOutWhereTheyDoNotFit) {
  const Schedule schedule = make_schedule(PipelineSchedule::k1f1b, 2, 1, 400);
  const std::string svg = to_svg(time_schedule(schedule, {{1, 1, 1}, {1, 1, 1}}));
  for (int i = 0; i < 400; ++i) EXPECT_THAT(svg, Not(HasSubstr(">" + std::to_string(i) + "</text>")));
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
