#include "core/base/philox.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

namespace trireme {
namespace {

/// The known answers of philox4x32-10 in Random123's kat_vectors.
TEST(Philox, GivesTheKnownAnswers) {
  const auto expect = [](RandomKey key, RandomCounter counter, std::array<uint32_t, 4> answer) {
    EXPECT_EQ(philox(key, counter), answer);
  };
  expect({0, 0}, {0, 0, 0, 0}, {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u});
  expect({0xffffffffu, 0xffffffffu}, {0xffffffffu, 0xffffffffu, 0xffffffffu, 0xffffffffu},
         {0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu});
  expect({0xa4093822u, 0x299f31d0u}, {0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u},
         {0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u});
}

TEST(RandomKey, DiffersInEveryPart) {
  std::set<uint64_t> keys;
  const auto add = [&](RandomKey key) { keys.insert(uint64_t{key.high} << 32 | key.low); };
  size_t count = 0;
  for (const uint64_t seed : {0u, 1u, 2u})
    for (const RandomPurpose purpose : {RandomPurpose::kInitialization, RandomPurpose::kDropout})
      for (const uint64_t step : {0u, 1u, 2u})
        for (const uint64_t site : {0u, 1u, 2u}) {
          add(RandomKey::make(seed, purpose, step, site));
          ++count;
        }
  EXPECT_EQ(keys.size(), count);
}

TEST(Counters, KeepEveryCoordinateApart) {
  std::set<RandomCounter> seen;
  size_t count = 0;
  for (const int64_t sample : {int64_t{0}, int64_t{1}, int64_t{1} << 32, (int64_t{1} << 48) - 1})
    for (const int64_t head : {0, 1, 65535})
      for (const int64_t query : {0, 1})
        for (const int64_t block : {0, 1}) {
          seen.insert(attention_counter(sample, head, query, block));
          ++count;
        }
  EXPECT_EQ(seen.size(), count);
  EXPECT_NE(activation_counter(1, 0, 0), activation_counter(0, 1, 0));
  EXPECT_NE(activation_counter(1, 0, 0), activation_counter(0, 0, 1));
  EXPECT_NE(activation_counter(int64_t{1} << 32, 0, 0), activation_counter(0, 0, 0));
}

TEST(DropoutThreshold, IsTheShareOfAllWords) {
  EXPECT_EQ(dropout_threshold(0.0), 0u);
  EXPECT_EQ(dropout_threshold(0.5), 0x80000000u);
  EXPECT_EQ(dropout_threshold(0.25), 0x40000000u);
}

TEST(Uniform, NeverGivesZero) {
  EXPECT_GT(uniform_from_bits(0), 0.0);
  EXPECT_EQ(uniform_from_bits(0xffffffffu), 1.0);
}

TEST(Normal, HasMeanZeroVarianceOneAndFlatTails) {
  constexpr int kCount = 100000;
  double sum = 0, squares = 0, fourth = 0;
  for (uint32_t i = 0; i < kCount / 2; ++i) {
    const auto bits = philox({7, 9}, {i, 0, 0, 0});
    for (const double value : normal_from_bits(bits[0], bits[1])) {
      sum += value;
      squares += value * value;
      fourth += value * value * value * value;
    }
  }
  EXPECT_NEAR(sum / kCount, 0, 5 / std::sqrt(kCount));
  EXPECT_NEAR(squares / kCount, 1, 5 * std::sqrt(2.0 / kCount));
  EXPECT_NEAR(fourth / kCount, 3, 5 * std::sqrt(96.0 / kCount));
}

}  // namespace
}  // namespace trireme
