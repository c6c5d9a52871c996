// Plants each bug of parallel/mesh/planted_bug.h in turn and draws random layouts until the property test's
// comparison sees it.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <optional>

#include "core/base/error.h"
#include "parallel/mesh/planted_bug.h"
#include "parallel/verify/verify.h"
#include "tests/support/random_layout.h"

namespace trireme {
namespace {

using testing::LayoutDraw;

struct Mutant {
  Bug bug;
  const char* what;
};
constexpr Mutant kMutants[] = {
    {Bug::kGatheredLogits, "gathered logits taken for local ones in the vocabulary-parallel loss"},
    {Bug::kNormGradientsNotSummed, "gradients of replicated norms not summed over tensor ranks"},
    {Bug::kShardsMissingFromNorm, "sharded parameters missing from the clip norm"},
    {Bug::kTiedCountedTwice, "a tied embedding counted on both of its stages"},
    {Bug::kLossScaledTwice, "loss scaled twice"},
    {Bug::kWrongKeyValueCopies, "copies of key and value heads taken by rank, not by group"},
    {Bug::kStageLocalLayerNumbers, "layers numbered from 0 in every stage"},
    {Bug::kMicroBatchAveraging, "micro-batches averaged, whatever their targets"},
};

constexpr uint64_t kSeed = 4;  // that of the quick property test
constexpr int64_t kMostDraws = 300;

class Planted {
 public:
  explicit Planted(Bug bug) { planted_bug = bug; }
  ~Planted() { planted_bug = Bug::kNone; }
};

/// What is wrong with a layout in fp64; an error of the run counts.
std::vector<std::string> problems_of(const LayoutDraw& draw) {
  try {
    return verify::verify_in_fp64(testing::make_case(draw)).disagreements;
  } catch (const Error& error) {
    return {error.what()};
  }
}

/// The number of the first draw that shows the planted bug.
std::optional<int64_t> draws_until_caught(uint64_t seed) {
  for (int64_t number = 0; number < kMostDraws; ++number)
    if (!problems_of(testing::draw_layout(seed, number)).empty()) return number + 1;
  return std::nullopt;
}

TEST(Mutation, EveryPlantedBugIsCaughtByTheRandomLayouts) {
  std::cout << "| planted bug | draws until caught | plainest layout that shows it | first thing seen |\n"
            << "|---|---|---|---|\n";
  for (const Mutant& mutant : kMutants) {
    const Planted planted(mutant.bug);
    const std::optional<int64_t> draws = draws_until_caught(kSeed);
    ASSERT_TRUE(draws) << mutant.what << ": not caught in " << kMostDraws << " draws";
    const LayoutDraw plainest =
        testing::shrink(testing::draw_layout(kSeed, *draws - 1),
                        [](const LayoutDraw& candidate) { return !problems_of(candidate).empty(); });
    std::cout << fmt::format("| {} | {} | `{}` | {} |\n", mutant.what, *draws, testing::to_text(plainest),
                             problems_of(plainest).front());
  }
}

TEST(Mutation, NothingIsSeenWithoutAPlantedBug) {
  for (int64_t number = 0; number < 20; ++number)
    EXPECT_TRUE(problems_of(testing::draw_layout(kSeed, number)).empty()) << number;
}

}  // namespace
}  // namespace trireme
