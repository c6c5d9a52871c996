#include "core/generation/sampling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <type_traits>

#include "core/base/error.h"
#include "core/base/philox.h"

namespace trireme {
namespace {

std::vector<TokenProbability> tokens_with_logits(const Tensor& logits) {
  std::vector<TokenProbability> tokens;
  tokens.reserve(static_cast<size_t>(logits.cols()));
  dispatch_floating(logits.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* row = logits.row<T>(0);
    for (int64_t i = 0; i < logits.cols(); ++i) {
      double logit;
      if constexpr (std::is_same_v<T, double>) {
        logit = row[i];
      } else {
        logit = static_cast<double>(static_cast<float>(row[i]));
      }
      if (std::isnan(logit))
        throw DataError(fmt::format("generate: the logit of token {} is not a number", i));
      tokens.push_back({static_cast<int32_t>(i), logit});
    }
  });
  return tokens;
}

/// Softmax in place; the first token has the largest logit.
void normalize(std::vector<TokenProbability>& tokens, double temperature) {
  const double largest = tokens[0].probability;
  double sum = 0;
  for (TokenProbability& token : tokens)
    sum += token.probability = std::exp((token.probability - largest) / temperature);
  for (TokenProbability& token : tokens) token.probability /= sum;
}

}  // namespace

void check(const SamplingOptions& options) {
  std::string message;
  const auto require = [&](bool holds, const std::string& error) {
    if (!holds) message += (message.empty() ? "" : "\n") + error;
  };
  require(options.temperature >= 0 && std::isfinite(options.temperature),
          fmt::format("temperature must be 0 (greedy) or more, given {}", options.temperature));
  require(options.top_k >= 0, fmt::format("top-k must be 0 (all) or more, given {}", options.top_k));
  require(options.top_p > 0 && options.top_p <= 1,
          fmt::format("top-p must be in (0, 1], given {}", options.top_p));
  if (!message.empty()) throw ConfigError(message);
}

std::vector<TokenProbability> next_token_distribution(const Tensor& logits, const SamplingOptions& options) {
  std::vector<TokenProbability> tokens = tokens_with_logits(logits);
  const auto before = [](const TokenProbability& a, const TokenProbability& b) {
    return a.probability > b.probability || (a.probability == b.probability && a.token < b.token);
  };
  size_t kept = tokens.size();
  if (options.top_k > 0) kept = std::min(kept, static_cast<size_t>(options.top_k));
  if (options.temperature == 0) kept = 1;
  std::partial_sort(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(kept), tokens.end(), before);
  tokens.resize(kept);
  normalize(tokens, options.temperature == 0 ? 1.0 : options.temperature);
  if (options.top_p >= 1) return tokens;
  double sum = 0;
  size_t count = 0;
  while (count < tokens.size() && sum < options.top_p) sum += tokens[count++].probability;
  tokens.resize(count);
  for (TokenProbability& token : tokens) token.probability /= sum;
  return tokens;
}

int32_t sample_token(const Tensor& logits, const SamplingOptions& options, int64_t sample, int64_t position) {
  const std::vector<TokenProbability> tokens = next_token_distribution(logits, options);
  const RandomKey key = RandomKey::make(options.seed, RandomPurpose::kSampling, 0, 0);
  const double drawn = uniform_from_bits(philox(key, activation_counter(sample, position, 0))[0]);
  double sum = 0;
  for (const TokenProbability& token : tokens) {
    sum += token.probability;
    if (drawn <= sum) return token.token;
  }
  return tokens.back().token;  // rounding left the sum below 1
}

}  // namespace trireme
