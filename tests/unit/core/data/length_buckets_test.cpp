#include "core/data/length_buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace trireme {
namespace {

/// Lengths from 1 to 40 that look random.
int64_t length_of(int64_t sample) {
  return 1 + sample * 2654435761 % 65537 % 40;
}

std::vector<int64_t> order_of(const LengthBuckets& buckets, int64_t begin, int64_t end) {
  std::vector<int64_t> order;
  for (int64_t i = begin; i < end; ++i) order.push_back(buckets(i));
  return order;
}

/// Tokens with padding to the longest of every step, over tokens without.
double padding(const std::vector<int64_t>& order, int64_t group) {
  double padded = 0, tokens = 0;
  for (size_t begin = 0; begin < order.size(); begin += static_cast<size_t>(group)) {
    const size_t end = std::min(order.size(), begin + static_cast<size_t>(group));
    int64_t longest = 0;
    for (size_t i = begin; i < end; ++i) {
      longest = std::max(longest, length_of(order[i]));
      tokens += static_cast<double>(length_of(order[i]));
    }
    padded += static_cast<double>(longest) * static_cast<double>(end - begin);
  }
  return padded / tokens;
}

TEST(LengthBuckets, TakeEverySampleOnceAnEpoch) {
  for (const int64_t num_samples : {1, 7, 100, 1003})
    for (const int64_t group : {1, 8, 64})
      for (const int64_t pool : {1, 50, 5000}) {
        const LengthBuckets buckets(num_samples, pool, group, 3, length_of);
        for (int64_t epoch = 0; epoch < 3; ++epoch) {
          std::vector<int64_t> order = order_of(buckets, epoch * num_samples, (epoch + 1) * num_samples);
          std::sort(order.begin(), order.end());
          for (int64_t i = 0; i < num_samples; ++i) ASSERT_EQ(order[i], epoch * num_samples + i);
        }
      }
}

TEST(LengthBuckets, BringSimilarLengthsTogether) {
  constexpr int64_t kSamples = 4096, kGroup = 32;
  std::vector<int64_t> plain(kSamples);
  std::iota(plain.begin(), plain.end(), 0);
  EXPECT_GT(padding(plain, kGroup), 1.7);
  EXPECT_LT(padding(order_of(LengthBuckets(kSamples, 1024, kGroup, 3, length_of), 0, kSamples), kGroup),
            1.06);
  EXPECT_LT(padding(order_of(LengthBuckets(kSamples, 128, kGroup, 3, length_of), 0, kSamples), kGroup), 1.3);
}

TEST(LengthBuckets, DoNotGoFromShortToLong) {
  constexpr int64_t kSamples = 4096, kGroup = 32;
  const auto order = order_of(LengthBuckets(kSamples, kSamples, kGroup, 3, length_of), 0, kSamples);
  double first_half = 0, all = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    all += static_cast<double>(length_of(order[i]));
    if (i < order.size() / 2) first_half += static_cast<double>(length_of(order[i]));
  }
  EXPECT_NEAR(first_half / all, 0.5, 0.1);  // sorted: 0.25
}

TEST(LengthBuckets, CutGroupsWhereStepsBegin) {
  constexpr int64_t kSamples = 1003, kGroup = 32;  // epochs end inside a step
  const LengthBuckets buckets(kSamples, kSamples, kGroup, 3, length_of);
  for (int64_t step = 0; (step + 1) * kGroup <= 3 * kSamples; ++step) {
    const int64_t begin = step * kGroup, last = begin + kGroup - 1;
    if (begin / kSamples != last / kSamples) continue;
    int64_t shortest = 100, longest = 0;
    for (int64_t i = begin; i <= last; ++i) {
      shortest = std::min(shortest, length_of(buckets(i)));
      longest = std::max(longest, length_of(buckets(i)));
    }
    EXPECT_LE(longest - shortest, 4) << "step " << step;
  }
}

TEST(LengthBuckets, FollowSeedPoolAndGroupAndNothingElse) {
  const auto order = [](int64_t pool, int64_t group, uint64_t seed) {
    return order_of(LengthBuckets(500, pool, group, seed, length_of), 500, 1000);
  };
  const auto usual = order(64, 8, 3);
  EXPECT_EQ(order(64, 8, 3), usual);
  EXPECT_NE(order(64, 8, 4), usual);
  EXPECT_NE(order(128, 8, 3), usual);
  EXPECT_NE(order(64, 16, 3), usual);
  EXPECT_EQ(order(57, 8, 3), usual);  // rounded up to a multiple of the group
  // Any order of asking gives the same.
  const LengthBuckets buckets(500, 64, 8, 3, length_of);
  EXPECT_EQ(buckets(1700), LengthBuckets(500, 64, 8, 3, length_of)(1700));
  EXPECT_EQ(order_of(buckets, 500, 1000), usual);
}

TEST(LengthBuckets, EpochsDiffer) {
  const LengthBuckets buckets(512, 64, 8, 3, length_of);
  std::vector<int64_t> first = order_of(buckets, 0, 512), second = order_of(buckets, 512, 1024);
  for (int64_t& sample : second) sample -= 512;
  EXPECT_NE(first, second);
}

}  // namespace
}  // namespace trireme
