#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "core/metrics/bleu_tokens.h"

namespace trireme {

inline constexpr size_t kBleuOrder = 4;  ///< longest n-gram

/// What segments give to corpus BLEU; sums over segments, files and ranks.
struct BleuCounts {
  std::array<int64_t, kBleuOrder> matches{};  ///< n-grams of 1 to 4 tokens, clipped by the references
  std::array<int64_t, kBleuOrder> totals{};   ///< n-grams of the hypotheses
  int64_t hypothesis_length = 0;              ///< tokens
  int64_t reference_length = 0;               ///< of the reference that is nearest in length, shorter first

  BleuCounts& operator+=(const BleuCounts& other);
};

/// One segment against its references, at least one. DataError where a text is no UTF-8.
BleuCounts count_bleu(const std::string& hypothesis, const std::vector<std::string>& references,
                      const BleuTokens& tokens);

struct BleuScore {
  double score = 0;                             ///< 0 to 100
  std::array<double, kBleuOrder> precisions{};  ///< of 1- to 4-grams, 0 to 100
  double brevity_penalty = 1;
  int64_t hypothesis_length = 0;
  int64_t reference_length = 0;
};

/// Corpus BLEU (Papineni et al. 2002): brevity penalty x geometric mean of the precisions; the k-th order
/// without a match counts as 1 / 2^k matches ("exp" smoothing, mteval-v13a and sacrebleu). 0 where nothing
/// matches or there is no 4-gram.
BleuScore bleu_score(const BleuCounts& counts);

/// Which BLEU it is, in sacrebleu's words: "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp".
std::string bleu_signature(size_t num_references, const BleuTokens& tokens);
/// As sacrebleu prints it: "36.52 67.1/43.2/30.0/21.0 (BP = 0.987 ratio = 0.988 hyp_len = 12 ref_len = 13)".
std::string to_text(const BleuScore& score);

}  // namespace trireme
