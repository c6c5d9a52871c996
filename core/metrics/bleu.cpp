#include "core/metrics/bleu.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <span>

namespace trireme {
namespace {

using Counts = std::map<std::vector<std::string>, int64_t>;

Counts ngrams(const std::vector<std::string>& tokens, size_t order) {
  Counts counts;
  for (size_t i = 0; i + order <= tokens.size(); ++i)
    ++counts[std::vector<std::string>(tokens.begin() + static_cast<std::ptrdiff_t>(i),
                                      tokens.begin() + static_cast<std::ptrdiff_t>(i + order))];
  return counts;
}

/// Of each n-gram of the hypothesis as many as the reference with the most of them has.
int64_t clipped_matches(const std::vector<std::string>& hypothesis,
                        const std::vector<std::vector<std::string>>& references, size_t order) {
  Counts allowed;
  for (const std::vector<std::string>& reference : references)
    for (const auto& [ngram, count] : ngrams(reference, order))
      allowed[ngram] = std::max(allowed[ngram], count);
  int64_t matches = 0;
  for (const auto& [ngram, count] : ngrams(hypothesis, order))
    if (const auto found = allowed.find(ngram); found != allowed.end())
      matches += std::min(count, found->second);
  return matches;
}

int64_t nearest_length(int64_t length, const std::vector<std::vector<std::string>>& references) {
  int64_t best = static_cast<int64_t>(references.front().size());
  for (const std::vector<std::string>& reference : references) {
    const auto other = static_cast<int64_t>(reference.size());
    const int64_t distance = std::abs(other - length), least = std::abs(best - length);
    if (distance < least || (distance == least && other < best)) best = other;
  }
  return best;
}

}  // namespace

BleuCounts& BleuCounts::operator+=(const BleuCounts& other) {
  for (size_t i = 0; i < kBleuOrder; ++i) {
    matches[i] += other.matches[i];
    totals[i] += other.totals[i];
  }
  hypothesis_length += other.hypothesis_length;
  reference_length += other.reference_length;
  return *this;
}

BleuCounts count_bleu(const std::string& hypothesis, const std::vector<std::string>& references,
                      const BleuTokens& tokens) {
  const std::vector<std::string> words = bleu_tokens(hypothesis, tokens);
  std::vector<std::vector<std::string>> reference_words;
  for (const std::string& reference : references) reference_words.push_back(bleu_tokens(reference, tokens));
  BleuCounts counts;
  counts.hypothesis_length = static_cast<int64_t>(words.size());
  counts.reference_length = nearest_length(counts.hypothesis_length, reference_words);
  for (size_t order = 1; order <= kBleuOrder; ++order) {
    counts.matches[order - 1] = clipped_matches(words, reference_words, order);
    counts.totals[order - 1] =
        std::max<int64_t>(0, counts.hypothesis_length - static_cast<int64_t>(order) + 1);
  }
  return counts;
}

BleuScore bleu_score(const BleuCounts& counts) {
  BleuScore result;
  result.hypothesis_length = counts.hypothesis_length;
  result.reference_length = counts.reference_length;
  const auto hypothesis = static_cast<double>(counts.hypothesis_length);
  const auto reference = static_cast<double>(counts.reference_length);
  if (hypothesis < reference)
    result.brevity_penalty = hypothesis > 0 ? std::exp(1 - reference / hypothesis) : 0;
  if (std::ranges::all_of(counts.matches, [](int64_t count) { return count == 0; })) return result;
  double smoothed = 1, log_sum = 0;
  for (size_t i = 0; i < kBleuOrder; ++i) {
    if (counts.totals[i] == 0) return result;
    const double matches = counts.matches[i] > 0 ? static_cast<double>(counts.matches[i]) : smoothed /= 2;
    result.precisions[i] = 100 * matches / static_cast<double>(counts.totals[i]);
    log_sum += std::log(result.precisions[i]);
  }
  result.score = result.brevity_penalty * std::exp(log_sum / kBleuOrder);
  return result;
}

std::string bleu_signature(size_t num_references, const BleuTokens& tokens) {
  return fmt::format("nrefs:{}|case:{}|eff:no|tok:{}|smooth:exp", num_references,
                     tokens.lowercase ? "lc" : "mixed", name_of(tokens.tokenizer));
}

std::string to_text(const BleuScore& score) {
  const double ratio = score.reference_length > 0 ? static_cast<double>(score.hypothesis_length) /
                                                        static_cast<double>(score.reference_length)
                                                  : 0;
  return fmt::format("{:.2f} {:.1f} (BP = {:.3f} ratio = {:.3f} hyp_len = {} ref_len = {})", score.score,
                     fmt::join(score.precisions, "/"), score.brevity_penalty, ratio, score.hypothesis_length,
                     score.reference_length);
}

}  // namespace trireme
