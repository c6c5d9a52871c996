#include "core/data/token_masking.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/data/sample_source.h"

namespace trireme {
namespace {

/// Tokens that are masked together.
struct Word {
  size_t begin;
  size_t size;
};

bool continues_word(int32_t token, const TokenRoles& roles) {
  const auto id = static_cast<size_t>(token);
  return id < roles.continues_word.size() && roles.continues_word[id] != 0;
}

std::vector<Word> find_words(const std::vector<int32_t>& tokens, bool whole, const TokenRoles& roles) {
  std::vector<Word> words;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] == roles.cls || tokens[i] == roles.sep) continue;
    const bool goes_on = whole && !words.empty() && words.back().begin + words.back().size == i &&
                         continues_word(tokens[i], roles);
    if (goes_on)
      ++words.back().size;
    else
      words.push_back({i, 1});
  }
  return words;
}

size_t num_predictions(size_t num_tokens, const DataConfig& config) {
  if (config.mask_prob == 0) return 0;
  const double share = std::nearbyint(static_cast<double>(num_tokens) * config.mask_prob);
  const auto number = std::max<int64_t>(1, static_cast<int64_t>(share));
  const int64_t most = config.max_predictions_per_seq;
  return static_cast<size_t>(most > 0 ? std::min(number, most) : number);
}

int32_t masked(int32_t token, int32_t mask, const TokenRoles& roles, RandomDraws& draws) {
  if (draws.chance(0.8)) return mask;
  return draws.chance(0.5) ? token : static_cast<int32_t>(draws.below(roles.num_tokens));
}

}  // namespace

void mask_tokens(SampleContent& sample, const DataConfig& config, const TokenRoles& roles,
                 RandomDraws& draws) {
  std::vector<Word> words = find_words(sample.tokens, config.whole_word_mask, roles);
  const int32_t mask = config.mask_by_attention ? kHiddenToken : roles.mask;
  sample.targets.assign(sample.tokens.size(), kNoTarget);
  size_t left = num_predictions(sample.tokens.size(), config);
  for (size_t i = 0; i < words.size() && left > 0; ++i) {
    std::swap(words[i], words[i + static_cast<size_t>(draws.below(static_cast<int64_t>(words.size() - i)))]);
    const Word word = words[i];
    if (word.size > left) continue;
    left -= word.size;
    for (size_t at = word.begin; at < word.begin + word.size; ++at) {
      sample.targets[at] = sample.tokens[at];
      sample.tokens[at] = masked(sample.tokens[at], mask, roles, draws);
    }
  }
  if (config.mask_by_attention) put_hidden_last(sample);
}

void put_hidden_last(SampleContent& sample) {
  std::vector<int32_t> order(sample.tokens.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_partition(order.begin(), order.end(),
                        [&](int32_t at) { return sample.tokens[static_cast<size_t>(at)] != kHiddenToken; });
  const auto reorder = [&](std::vector<int32_t>& values) {
    if (values.empty()) return;
    std::vector<int32_t> reordered;
    for (const int32_t at : order) reordered.push_back(values[static_cast<size_t>(at)]);
    values = std::move(reordered);
  };
  reorder(sample.tokens);
  reorder(sample.targets);
  reorder(sample.segments);
  sample.positions = std::move(order);
}

}  // namespace trireme
