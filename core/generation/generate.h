#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "core/generation/sampling.h"
#include "core/models/model.h"

namespace trireme {

struct GenerationOptions {
  int64_t max_new_tokens = 100;
  int64_t context_length = 0;  ///< most tokens the model sees at once (max_position_embeddings); when they
                               ///< are full, generation goes on from the last half of them
  SamplingOptions sampling = {};
  int64_t sample = 0;  ///< number of this continuation: several from one prompt differ by it
  std::optional<int32_t> stop_token = std::nullopt;  ///< ends generation and is not returned
};

/// Continues `prompt` (at least one token) and returns the new tokens. `on_token` is called with each as it
/// is made; returning false ends generation. Each token is computed once, with a key-value cache; dropout is
/// off. Throws ConfigError for options out of range, DataError for an empty prompt.
std::vector<int32_t> generate(Context& context, Model& model, const std::vector<int32_t>& prompt,
                              const GenerationOptions& options,
                              const std::function<bool(int32_t)>& on_token = {});

}  // namespace trireme
