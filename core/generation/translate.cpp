#include "core/generation/translate.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/nn/evaluation_guard.h"

namespace trireme {
namespace {

/// The sources side by side, each with its end, padded to the longest; no target yet.
Batch batch_of(Context& context, const std::vector<std::vector<int32_t>>& sources,
               const TranslationOptions& options) {
  const auto count = static_cast<int64_t>(sources.size());
  const auto length_of = [&](const std::vector<int32_t>& source) {
    return std::min<int64_t>(std::ssize(source) + 1, options.max_tokens);
  };
  int64_t longest = 1;
  for (const auto& source : sources) longest = std::max(longest, length_of(source));
  const auto integers = [&](const Shape& shape) {
    return context.zeros(shape, DType::kInt32, MemoryCategory::kWorkspace);
  };
  Batch batch;
  batch.tokens = integers({count, 1});
  batch.positions = integers({count, 1});
  batch.sample_ids = context.zeros({count}, DType::kInt64, MemoryCategory::kWorkspace);
  batch.source_tokens = integers({count, longest});
  batch.source_positions = integers({count, longest});
  batch.source_lengths = integers({count});
  for (int64_t row = 0; row < count; ++row) {
    const std::vector<int32_t>& source = sources[static_cast<size_t>(row)];
    const int64_t length = length_of(source);
    int32_t* tokens = batch.source_tokens.row<int32_t>(row);
    std::copy_n(source.begin(), length - 1, tokens);
    tokens[length - 1] = options.source_end;
    for (int64_t t = 0; t < longest; ++t)
      batch.source_positions.row<int32_t>(row)[t] = static_cast<int32_t>(t);
    batch.source_lengths.data<int32_t>()[row] = static_cast<int32_t>(length);
    batch.tokens.data<int32_t>()[row] = options.begin;
  }
  return batch;
}

}  // namespace

std::vector<std::vector<int32_t>> translate(Context& context, Model& model,
                                            const std::vector<std::vector<int32_t>>& sources,
                                            const TranslationOptions& options) {
  check(options.sampling);
  if (options.max_tokens < 2)
    throw ConfigError(
        fmt::format("translate: a model of at least 2 positions is needed, given {}", options.max_tokens));
  std::vector<std::vector<int32_t>> targets(sources.size());
  if (sources.empty()) return targets;
  const EvaluationGuard evaluation(context);
  Batch batch = batch_of(context, sources, options);
  const auto cache = model.make_cache(context, batch.num_samples(), options.max_tokens);
  std::vector<bool> done(sources.size(), false);
  for (int64_t position = 0; position < options.max_tokens; ++position) {
    std::fill_n(batch.positions.data<int32_t>(), batch.num_samples(), static_cast<int32_t>(position));
    ForwardPass pass{.batch = batch, .cache = cache.get()};
    const Tensor logits = model.logits(context, pass, true);
    for (size_t i = 0; i < sources.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const int32_t token = sample_token(logits.slice(0, row, 1), options.sampling, row, position);
      batch.tokens.data<int32_t>()[row] = token;
      const int64_t longest = batch.source_lengths.data<int32_t>()[row] + options.max_extra_tokens;
      if (!done[i] && token != options.end) targets[i].push_back(token);
      done[i] = done[i] || token == options.end || std::ssize(targets[i]) >= longest;
    }
    if (std::all_of(done.begin(), done.end(), [](bool one) { return one; })) break;
  }
  return targets;
}

}  // namespace trireme
