#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

/// What a model learns to do with its samples.
enum class Objective { kCausal, kMasked, kTranslation, kClassification };

/// An id that nobody asked for.
inline constexpr int32_t kNoToken = -1;

/// What an objective must know of the tokens. Only the ids that it puts into samples are set.
struct TokenRoles {
  int64_t num_tokens = 0;  ///< of the tokenizer: a random token is one of these
  int32_t begin = kNoToken;
  int32_t end = kNoToken;
  int32_t source_end = kNoToken;  ///< in the source's vocabulary
  int32_t cls = kNoToken;
  int32_t sep = kNoToken;
  int32_t mask = kNoToken;
  std::vector<uint8_t> continues_word =
      {};  ///< by id: 1 where a token goes on with the word before it ("##ing")
};

/// What a run needs of its samples: what the model's family says, completed from the tokenizers and the batch
/// plan. Plain data.
struct SampleNeeds {
  Objective objective = Objective::kCausal;
  int64_t vocab_size = 0;
  int64_t source_vocab_size = 0;  ///< translation
  bool reads_order = false;       ///< the model sees the order of tokens, not their positions alone
  bool next_sentence = false;     ///< masked: two segments and whether the second follows the first
  int64_t num_classes = 0;        ///< classification
  int64_t global_batch_size = 1;  ///< samples that length buckets keep together
  TokenRoles roles = {};
};

}  // namespace trireme
