#pragma once

#include <vector>

#include "core/tensor/tensor.h"

namespace trireme {

/// How the next token is drawn. Order, as in Hugging Face Transformers: temperature, then top-k, then top-p.
struct SamplingOptions {
  double temperature = 1.0;  ///< divides the logits; 0: greedy, the most probable token
  int64_t top_k = 0;         ///< keep the k most probable tokens; 0: all
  double top_p = 1.0;  ///< keep the fewest tokens whose probabilities reach this sum (Holtzman et al. 2020)
  uint64_t seed = 0;
};

/// Throws ConfigError listing every option out of range.
void check(const SamplingOptions& options);

struct TokenProbability {
  int32_t token;
  double probability;
};

/// The tokens that may be drawn and their probabilities (sum 1), most probable first; equal ones by id.
/// `logits`: one row [V] or [1, V] of a floating type. Throws DataError when a logit is not a number.
std::vector<TokenProbability> next_token_distribution(const Tensor& logits, const SamplingOptions& options);

/// One token, from a random number that depends on (seed, sample, position) alone. `position`: index of the
/// drawn token in its sequence.
int32_t sample_token(const Tensor& logits, const SamplingOptions& options, int64_t sample, int64_t position);

}  // namespace trireme
