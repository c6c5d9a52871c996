#include "core/generation/generate.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/error.h"
#include "core/nn/evaluation_guard.h"

namespace trireme {
namespace {

/// One sample whose first token has position `begin`.
Batch batch_of(Context& context, const std::vector<int32_t>& tokens, int64_t begin) {
  const auto length = static_cast<int64_t>(tokens.size());
  Batch batch;
  batch.tokens = context.workspace({1, length}, DType::kInt32);
  batch.positions = context.workspace({1, length}, DType::kInt32);
  batch.sample_ids = context.zeros({1}, DType::kInt64, MemoryCategory::kWorkspace);
  for (int64_t i = 0; i < length; ++i) {
    batch.tokens.data<int32_t>()[i] = tokens[static_cast<size_t>(i)];
    batch.positions.data<int32_t>()[i] = static_cast<int32_t>(begin + i);
  }
  return batch;
}

}  // namespace

std::vector<int32_t> generate(Context& context, Model& model, const std::vector<int32_t>& prompt,
                              const GenerationOptions& options,
                              const std::function<bool(int32_t)>& on_token) {
  check(options.sampling);
  if (options.context_length < 2)
    throw ConfigError(
        fmt::format("generate: a context of at least 2 tokens is needed, given {}", options.context_length));
  if (prompt.empty()) throw DataError("generate: the prompt has no tokens; give at least one");
  const EvaluationGuard evaluation(context);

  std::vector<int32_t> tokens = prompt;
  const auto last = [&](int64_t count) {
    return std::vector<int32_t>(tokens.end() - std::min<std::ptrdiff_t>(count, std::ssize(tokens)),
                                tokens.end());
  };
  std::unique_ptr<KeyValueCache> cache;
  std::vector<int32_t> fresh = last(options.context_length);  // not in the cache yet
  std::vector<int32_t> generated;
  while (std::ssize(generated) < options.max_new_tokens) {
    if (cache && cache->length() == cache->capacity()) {
      cache.reset();
      fresh = last(options.context_length / 2);
    }
    if (!cache) cache = model.make_cache(context, 1, options.context_length);
    const Batch batch = batch_of(context, fresh, cache->length());
    ForwardPass pass{.batch = batch, .cache = cache.get()};
    const Tensor logits = model.logits(context, pass, true);
    const int32_t token = sample_token(logits, options.sampling, options.sample, std::ssize(tokens));
    if (options.stop_token == token) break;
    tokens.push_back(token);
    generated.push_back(token);
    fresh = {token};
    if (on_token && !on_token(token)) break;
  }
  return generated;
}

}  // namespace trireme
