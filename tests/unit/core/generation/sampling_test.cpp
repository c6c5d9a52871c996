#include "core/generation/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.h"
#include "tests/support/gradient_check.h"

namespace trireme::testing {
namespace {

/// By the book: full softmax, full sort, remove, renormalise.
std::vector<double> brute_force(const Tensor& logits, const SamplingOptions& options) {
  const int64_t count = logits.num_elements();
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return element(logits, a) > element(logits, b); });
  std::vector<double> probability(static_cast<size_t>(count), 0.0);
  const auto renormalize = [&] {
    const double sum = std::accumulate(probability.begin(), probability.end(), 0.0);
    for (double& p : probability) p /= sum;
  };
  for (int64_t rank = 0; rank < count; ++rank)
    if (options.top_k == 0 || rank < options.top_k)
      probability[static_cast<size_t>(order[static_cast<size_t>(rank)])] =
          std::exp(element(logits, order[static_cast<size_t>(rank)]) / options.temperature);
  renormalize();
  double before = 0;
  for (const int64_t token : order) {
    double& p = probability[static_cast<size_t>(token)];
    const double kept = before < options.top_p ? p : 0.0;
    before += p;
    p = kept;
  }
  renormalize();
  return probability;
}

TEST(Sampling, DistributionsEqualBruteForce) {
  Context context;
  for (uint64_t seed = 1; seed <= 5; ++seed)
    for (const double temperature : {0.5, 1.0, 2.0})
      for (const int64_t top_k : {0, 1, 5, 100})
        for (const double top_p : {1.0, 0.9, 0.5, 0.01}) {
          const Tensor logits = normal_tensor(context, {40}, DType::kFloat64, seed, 2.0);
          const SamplingOptions options = {.temperature = temperature, .top_k = top_k, .top_p = top_p};
          std::vector<double> given(40, 0.0);
          for (const TokenProbability& token : next_token_distribution(logits, options))
            given[static_cast<size_t>(token.token)] = token.probability;
          EXPECT_THAT(given,
                      ::testing::Pointwise(::testing::DoubleNear(1e-12), brute_force(logits, options)));
        }
}

TEST(Sampling, GreedyTakesTheMostProbableTokenAndTheLowerIdAmongEquals) {
  Context context;
  Tensor logits = normal_tensor(context, {1, 20}, DType::kFloat32, 1);
  logits.data<float>()[7] = logits.data<float>()[13] = 9.0f;
  for (int64_t position = 0; position < 10; ++position)
    EXPECT_EQ(sample_token(logits, {.temperature = 0}, 0, position), 7);
}

TEST(Sampling, DrawsEachTokenAsOftenAsItsProbabilitySays) {
  Context context;
  const Tensor logits = normal_tensor(context, {6}, DType::kFloat64, 3);
  const SamplingOptions options = {.seed = 11};
  std::vector<double> counts(6, 0.0);
  constexpr int kDraws = 20000;
  for (int64_t i = 0; i < kDraws; ++i) counts[static_cast<size_t>(sample_token(logits, options, 0, i))] += 1;
  for (const TokenProbability& token : next_token_distribution(logits, options)) {
    const double p = token.probability;
    EXPECT_NEAR(counts[static_cast<size_t>(token.token)] / kDraws, p, 4 * std::sqrt(p * (1 - p) / kDraws));
  }
}

TEST(Sampling, DependsOnSeedSampleAndPositionAlone) {
  Context context;
  const Tensor logits = normal_tensor(context, {1000}, DType::kFloat64, 3, 0.1);
  const int32_t token = sample_token(logits, {.seed = 1}, 2, 3);
  EXPECT_EQ(sample_token(logits, {.seed = 1}, 2, 3), token);
  EXPECT_NE(sample_token(logits, {.seed = 2}, 2, 3), token);
  EXPECT_NE(sample_token(logits, {.seed = 1}, 3, 3), token);
  EXPECT_NE(sample_token(logits, {.seed = 1}, 2, 4), token);
}

TEST(Sampling, RefusesOptionsOutOfRange) {
  EXPECT_NO_THROW(check(SamplingOptions{}));
  EXPECT_THROW(check({.temperature = -1}), ConfigError);
  EXPECT_THROW(check({.temperature = std::numeric_limits<double>::quiet_NaN()}), ConfigError);
  EXPECT_THROW(check({.top_k = -1}), ConfigError);
  EXPECT_THROW(check({.top_p = 0}), ConfigError);
  EXPECT_THROW(check({.top_p = 1.5}), ConfigError);
}

TEST(Sampling, RefusesLogitsThatAreNotNumbers) {
  Context context;
  Tensor logits = normal_tensor(context, {4}, DType::kFloat32, 1);
  logits.data<float>()[2] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_THROW(sample_token(logits, {}, 0, 0), DataError);
}

}  // namespace
}  // namespace trireme::testing
