#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/data/blend.h"
#include "core/data/permutation.h"

namespace trireme {
namespace {

RandomKey key_of_seed(uint64_t seed, uint64_t epoch = 0) {
  return RandomKey::make(seed, RandomPurpose::kDataOrder, epoch, 0);
}

TEST(Permutation, IsABijectionForEverySmallSizeAndForRandomOnes) {
  const unsigned seed = std::random_device()();
  std::mt19937 random(seed);
  std::vector<int64_t> sizes;
  for (int64_t size = 1; size <= 130; ++size) sizes.push_back(size);
  for (int i = 0; i < 5; ++i) sizes.push_back(1 + random() % 50000);
  for (const int64_t size : sizes) {
    const uint64_t key_seed = random();
    const Permutation permutation(size, key_of_seed(key_seed));
    std::vector<bool> seen(static_cast<size_t>(size));
    for (int64_t i = 0; i < size; ++i) {
      const int64_t image = permutation(i);
      ASSERT_TRUE(image >= 0 && image < size) << "seed " << seed << " size " << size;
      ASSERT_FALSE(seen[image]) << "seed " << seed << " size " << size;
      seen[image] = true;
    }
  }
}

TEST(Permutation, IsUnrelatedBetweenKeys) {
  // 1000 elements: two random orders share one fixed place on average, and far fewer than 10.
  const int64_t size = 1000;
  const Permutation first(size, key_of_seed(1)), second(size, key_of_seed(1, 1)), third(size, key_of_seed(2));
  int same = 0, fixed = 0;
  double sum = 0;
  for (int64_t i = 0; i < size; ++i) {
    same += (first(i) == second(i)) + (first(i) == third(i));
    fixed += first(i) == i;
    if (i < 100) sum += static_cast<double>(first(i));
  }
  EXPECT_LT(same, 14);
  EXPECT_LT(fixed, 8);
  EXPECT_NEAR(sum / 100, 499.5, 5 * 288.7 / 10);  // five standard errors
}

TEST(Permutation, TakesTheLargestSizes) {
  const int64_t size = (int64_t{1} << 61) + 12345;
  const Permutation permutation(size, key_of_seed(3));
  for (const int64_t i : {int64_t{0}, int64_t{1}, size / 2, size - 1}) {
    EXPECT_GE(permutation(i), 0);
    EXPECT_LT(permutation(i), size);
  }
  EXPECT_NE(permutation(0), permutation(1));
}

TEST(Permutation, NeverChanges) {
  // A checkpoint continues in the order it began with, so the values themselves are part of the format.
  const Permutation permutation(1000, RandomKey::make(1234, RandomPurpose::kDataOrder, 5, 2));
  EXPECT_EQ((std::vector<int64_t>{permutation(0), permutation(1), permutation(999)}),
            (std::vector<int64_t>{947, 43, 149}));
}

TEST(Blend, TakesEachDatasetExactlyByItsWeightInEveryPeriod) {
  const std::vector<int64_t> weights = {3, 0, 1, 7, 2};
  const Blend blend(weights);
  std::vector<int64_t> counts(weights.size());
  for (int64_t n = 0; n < 13 * 5; ++n) {
    const auto [dataset, index] = blend.place_of(n);
    ASSERT_EQ(index, counts[dataset]) << n;  // indices count up without gaps
    ++counts[dataset];
    for (size_t k = 0; k < weights.size(); ++k)
      ASSERT_LE(std::abs(static_cast<double>(counts[k]) - static_cast<double>((n + 1) * weights[k]) / 13),
                3.0);
    for (size_t k = 0; (n + 1) % 13 == 0 && k < weights.size(); ++k)
      ASSERT_EQ(counts[k], weights[k] * (n + 1) / 13);
  }
}

TEST(Blend, KeepsProportionsOfRandomWeights) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20; ++round) {
    std::vector<double> weights(1 + random() % 9);
    double sum = 0;
    for (double& weight : weights) sum += weight = 1e-3 + static_cast<double>(random()) / 4294967296.0;
    const Blend blend = Blend::from_fractions(weights);
    std::vector<int64_t> counts(weights.size());
    const int64_t n = 2000;
    for (int64_t i = 0; i < n; ++i) ASSERT_EQ(blend.place_of(i).index, counts[blend.place_of(i).dataset]++);
    for (size_t k = 0; k < weights.size(); ++k)
      EXPECT_NEAR(static_cast<double>(counts[k]), static_cast<double>(n) * weights[k] / sum, 4.0);
  }
}

TEST(Blend, WorksFarOut) {
  const Blend blend = Blend::from_fractions({0.25, 0.75});
  const int64_t n = int64_t{1} << 60;
  EXPECT_EQ(blend.place_of(n).dataset + blend.place_of(n + 1).dataset + blend.place_of(n + 2).dataset +
                blend.place_of(n + 3).dataset,
            3);
  EXPECT_EQ(Blend({5}).place_of(n).index, n);
}

}  // namespace
}  // namespace trireme
