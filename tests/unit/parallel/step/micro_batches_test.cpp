#include "parallel/step/micro_batches.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "core/base/error.h"

namespace trireme {
namespace {

TEST(StepSamples, EveryDivisionSeesTheSameSamplesOnce) {
  for (int ranks = 1; ranks <= 4; ++ranks) {
    for (int64_t micro = 1; micro <= 12; ++micro) {
      const StepSamples samples{24, micro, ranks};
      if (24 % (micro * ranks) != 0) continue;
      std::vector<int64_t> seen;
      for (int rank = 0; rank < ranks; ++rank)
        for (int64_t i = 0; i < samples.num_micro_batches(); ++i)
          for (const int64_t sample : samples.micro_batch(1000, rank, i)) seen.push_back(sample);
      std::sort(seen.begin(), seen.end());
      std::vector<int64_t> expected(24);
      std::iota(expected.begin(), expected.end(), 1000);
      EXPECT_EQ(seen, expected) << ranks << " ranks, micro-batches of " << micro;
    }
  }
}

TEST(StepSamples, MicroBatchesOfAllRanksTogetherAreThoseOfOneRank) {
  for (const int ranks : {2, 3, 4}) {
    const StepSamples alone{24, 12, 1}, divided{24, 12 / ranks, ranks};
    for (int64_t i = 0; i < 2; ++i) {
      std::vector<int64_t> together;
      for (int rank = 0; rank < ranks; ++rank)
        for (const int64_t sample : divided.micro_batch(1000, rank, i)) together.push_back(sample);
      EXPECT_EQ(together, alone.micro_batch(1000, 0, i)) << ranks << " ranks";
    }
  }
}

TEST(StepSamples, ABatchThatDoesNotDivideIsRefusedWithTheNearestThatDo) {
  try {
    StepSamples{10, 2, 2}.num_micro_batches();
    FAIL() << "accepted";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("global_batch_size 10 is not a multiple of micro_batch_size 2 x 2 "
                                     "data-parallel ranks = 4; the nearest that work: 8 and 12"));
  }
}

}  // namespace
}  // namespace trireme
