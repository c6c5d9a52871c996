#pragma once

#include <cstdint>
#include <vector>

#include "core/generation/sampling.h"
#include "core/models/model.h"

namespace trireme {

struct TranslationOptions {
  int32_t begin = 0;       ///< what a target begins with
  int32_t end = 0;         ///< what ends it
  int32_t source_end = 0;  ///< what ends a source
  int64_t max_extra_tokens =
      50;                  ///< a target is at most so much longer than its source (Vaswani et al. 2017)
  int64_t max_tokens = 0;  ///< positions that the model has
  SamplingOptions sampling = {.temperature = 0};
};

/// Targets of an encoder-decoder for several sources at once, without begin and end. Sources are cut to
/// max_tokens - 1 and get `source_end` appended; each target token is computed once, with a key-value cache;
/// dropout is off. Sample i draws with number i. Throws ConfigError for options out of range.
std::vector<std::vector<int32_t>> translate(Context& context, Model& model,
                                            const std::vector<std::vector<int32_t>>& sources,
                                            const TranslationOptions& options);

}  // namespace trireme
