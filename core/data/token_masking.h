#pragma once

#include "core/data/padded_batch.h"
#include "core/data/random_draws.h"

namespace trireme {

/// BERT's masked language model (Devlin et al. 2019, section 3.1): predicts max(1, round(mask_prob * tokens))
/// of a sample's tokens, at most max_predictions_per_seq, never [CLS] or [SEP]. Of these 80 % become [MASK],
/// 10 % a random token, 10 % stay. With whole_word_mask the pieces of a word are chosen together, and a word
/// that would exceed the number is passed over. Fills `targets`. With mask_by_attention a token that would
/// become [MASK] is hidden.
void mask_tokens(SampleContent& sample, const DataConfig& config, const TokenRoles& roles,
                 RandomDraws& draws);

/// Puts hidden tokens (kHiddenToken) behind the others, each with its target and segment, and fills
/// `positions`.
void put_hidden_last(SampleContent& sample);

}  // namespace trireme
