#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <thread>

#include "core/base/error.h"
#include "parallel/verify/verify.h"
#include "tests/support/random_layout.h"

namespace trireme {
namespace {

using testing::LayoutDraw;

int64_t number_from(const char* variable, int64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::stoll(text) : otherwise;
}

uint64_t seed() {
  return static_cast<uint64_t>(number_from("TRIREME_LAYOUT_SEED", 4));
}

int64_t num_draws() {
  return number_from("TRIREME_LAYOUT_DRAWS", 300);
}

/// What is wrong with a layout; empty: nothing.
std::vector<std::string> problems_of(const LayoutDraw& draw) {
  try {
    std::vector<std::string> problems;
    for (const verify::Verdict& verdict : verify::verify(testing::make_case(draw)))
      for (const std::string& problem : verdict.disagreements)
        problems.push_back(fmt::format("{}: {}", name_of(verdict.precision), problem));
    return problems;
  } catch (const Error& error) {
    return {error.what()};
  }
}

/// The largest errors seen, by precision, and the layout that is furthest from one rank.
struct Worst {
  double gradient = 0, weight = 0, loss = 0, grad_norm = 0;
  double of_bound = 0;  ///< largest share of a bound of gradients or weights
  int64_t num_draws = 0;
  LayoutDraw draw;

  void add(const verify::Verdict& verdict, const LayoutDraw& from) {
    const verify::Difference& difference = verdict.difference;
    const double share = std::max(difference.worst_gradient().gradient / verdict.bounds.gradient,
                                  difference.worst_weight().weight / verdict.bounds.weight);
    if (share > of_bound) draw = from;
    of_bound = std::max(of_bound, share);
    gradient = std::max(gradient, difference.worst_gradient().gradient);
    weight = std::max(weight, difference.worst_weight().weight);
    loss = std::max(loss, difference.loss);
    grad_norm = std::max(grad_norm, difference.grad_norm);
    ++num_draws;
  }
};

/// Runs draws and keeps count. Thread-safe.
class Tally {
 public:
  /// False when the draw fails.
  bool run(const LayoutDraw& draw) {
    std::vector<verify::Verdict> verdicts;
    try {
      verdicts = verify::verify(testing::make_case(draw));
    } catch (const Error&) {
      return false;
    }
    const std::scoped_lock lock(mutex_);
    for (const std::string& feature : testing::features_of(draw)) ++features_[feature];
    bool agrees = true;
    for (const verify::Verdict& verdict : verdicts) {
      worst_[name_of(verdict.precision)].add(verdict, draw);
      agrees = agrees && verdict.disagreements.empty();
    }
    return agrees;
  }

  void print() const {
    for (const auto& [feature, count] : features_) std::cout << fmt::format("{:5} {}\n", count, feature);
    for (const auto& [precision, worst] : worst_)
      std::cout << fmt::format(
          "{} of {} draws: largest error of gradients {:.1e}, weights {:.1e}, loss {:.1e}, norm {:.1e}; "
          "{:.2f} of the bound with TRIREME_LAYOUT='{}'\n",
          precision, worst.num_draws, worst.gradient, worst.weight, worst.loss, worst.grad_norm,
          worst.of_bound, testing::to_text(worst.draw));
  }

 private:
  std::mutex mutex_;
  std::map<std::string, int64_t> features_;
  std::map<std::string, Worst> worst_;
};

/// The plainest draw that still fails, and how to run it alone.
std::string explain(const LayoutDraw& draw) {
  const LayoutDraw plainest =
      testing::shrink(draw, [](const LayoutDraw& candidate) { return !problems_of(candidate).empty(); });
  return fmt::format("TRIREME_LAYOUT='{}'\n  found as '{}'\n  {}", testing::to_text(plainest),
                     testing::to_text(draw), fmt::join(problems_of(plainest), "\n  "));
}

TEST(RandomLayout, GivesTheGradientsOfOneRank) {
  if (const char* text = std::getenv("TRIREME_LAYOUT")) {
    EXPECT_THAT(problems_of(testing::parse_layout(text)), ::testing::IsEmpty()) << text;
    return;
  }
  std::cout << fmt::format("TRIREME_LAYOUT_SEED={} TRIREME_LAYOUT_DRAWS={}\n", seed(), num_draws());
  Tally tally;
  std::atomic<int64_t> next = 0;
  std::mutex mutex;
  std::vector<LayoutDraw> failing;
  const auto work = [&] {
    for (int64_t number = next++; number < num_draws(); number = next++) {
      const LayoutDraw draw = testing::draw_layout(seed(), number);
      if (tally.run(draw)) continue;
      const std::scoped_lock lock(mutex);
      failing.push_back(draw);
    }
  };
  // The run of one rank, and waiting ranks, leave a core idle.
  std::thread second(work);
  work();
  second.join();
  tally.print();
  std::cout << fmt::format("{} layouts, {} disagree\n", num_draws(), failing.size());
  for (size_t i = 0; i < std::min<size_t>(failing.size(), 3); ++i) ADD_FAILURE() << explain(failing[i]);
}

TEST(RandomLayout, DrawsHaveEveryFeatureAndEveryPairOfAxes) {
  std::map<std::string, int64_t> counts;
  for (int64_t number = 0; number < 300; ++number)
    for (const std::string& feature : testing::features_of(testing::draw_layout(seed(), number)))
      ++counts[feature];
  for (const std::string& feature : testing::all_features())
    EXPECT_GE(counts[feature], 3) << feature << " is too rare with TRIREME_LAYOUT_SEED=" << seed();
}

TEST(RandomLayout, WhatIsRarelyDrawnGivesTheGradientsOfOneRankToo) {
  for (const char* text : {
           // disagreement of values whose heads several ranks have
           "tensor=3 pipeline=1 data=1 groups=1 recompute=2 disagreement=1 family=1",
           // one complex embedding for source and target, on two stages
           "tensor=1 pipeline=1 data=1 sequence=1 positions=5 family=1 vocabulary=2",
           // hidden tokens in a complex embedding
           "tensor=2 pipeline=1 data=1 positions=5 family=2 packed=1",
       })
    EXPECT_THAT(problems_of(testing::parse_layout(text)), ::testing::IsEmpty()) << text;
}

TEST(RandomLayout, TextIsTheDraw) {
  for (int64_t number = 0; number < 100; ++number) {
    const LayoutDraw draw = testing::draw_layout(seed(), number);
    EXPECT_EQ(testing::parse_layout(testing::to_text(draw)), draw);
  }
  EXPECT_THROW(testing::parse_layout("tensr=1"), ConfigError);
}

TEST(RandomLayout, ShrinksToWhatMatters) {
  LayoutDraw draw = testing::parse_layout(
      "tensor=3 pipeline=1 data=1 sequence=1 zero=1 llama=1 micro_batches=4 packed=1 seed=77");
  draw = testing::shrink(draw, [](const LayoutDraw& candidate) {
    return candidate[testing::Knob::kSequence] && candidate[testing::Knob::kMicroBatches] >= 2;
  });
  EXPECT_EQ(testing::to_text(draw), "tensor=1 sequence=1 micro_batches=2");
}

}  // namespace
}  // namespace trireme
