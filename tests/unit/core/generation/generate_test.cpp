#include "core/generation/generate.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

class Generate : public ::testing::Test {
 protected:
  Generate() : tiny_(context_, wide(), Precision::kFp32) {
    uint64_t seed = 0;
    for (Parameter* parameter : tiny_.store->parameters()) fill_normal(parameter->value, ++seed, 0.5);
  }
  static ModelConfig wide() {
    ModelConfig config = tiny_llama();
    config.hidden_dropout = 0.5;  // must not act
    config.max_position_embeddings = 64;
    return config;
  }
  /// Every token from a pass over everything before it.
  std::vector<int32_t> without_cache(std::vector<int32_t> tokens, const GenerationOptions& options) {
    const size_t begin = tokens.size();
    context_.training = false;
    while (tokens.size() < begin + static_cast<size_t>(options.max_new_tokens)) {
      Batch batch = random_batch(context_, 1, std::ssize(tokens), 11, 1);
      std::copy(tokens.begin(), tokens.end(), batch.tokens.data<int32_t>());
      ForwardPass pass{.batch = batch};
      tokens.push_back(sample_token(tiny_.model->logits(context_, pass, true), options.sampling,
                                    options.sample, std::ssize(tokens)));
    }
    context_.training = true;
    return {tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.end()};
  }
  Context context_;
  TinyModel tiny_;
};

TEST_F(Generate, GivesWhatPassesOverEverythingGive) {
  for (const double temperature : {0.0, 1.0}) {
    GenerationOptions options = {.max_new_tokens = 20, .context_length = 64};
    options.sampling.temperature = temperature;
    EXPECT_EQ(generate(context_, *tiny_.model, {1, 2, 3}, options), without_cache({1, 2, 3}, options));
  }
}

TEST_F(Generate, GivesAnotherContinuationForAnotherSample) {
  GenerationOptions options = {.max_new_tokens = 20, .context_length = 64};
  const auto first = generate(context_, *tiny_.model, {1}, options);
  options.sample = 1;
  EXPECT_NE(generate(context_, *tiny_.model, {1}, options), first);
}

TEST_F(Generate, GoesOnWhenTheContextIsFull) {
  const GenerationOptions options = {.max_new_tokens = 50, .context_length = 8};
  EXPECT_EQ(generate(context_, *tiny_.model, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, options).size(), 50u);
}

TEST_F(Generate, StopsAtTheStopTokenAndWhenToldTo) {
  GenerationOptions options = {.max_new_tokens = 20, .context_length = 64};
  const auto all = generate(context_, *tiny_.model, {1}, options);
  options.stop_token = all[5];
  const auto stopped = generate(context_, *tiny_.model, {1}, options);
  EXPECT_LE(stopped.size(), 5u);
  EXPECT_TRUE(std::equal(stopped.begin(), stopped.end(), all.begin()));

  options.stop_token.reset();
  std::vector<int32_t> seen;
  const auto told = generate(context_, *tiny_.model, {1}, options, [&](int32_t token) {
    seen.push_back(token);
    return seen.size() < 3;
  });
  EXPECT_EQ(told.size(), 3u);
  EXPECT_EQ(told, seen);
}

TEST_F(Generate, LeavesTheContextInTraining) {
  generate(context_, *tiny_.model, {1}, {.max_new_tokens = 2, .context_length = 64});
  EXPECT_TRUE(context_.training);
  EXPECT_TRUE(context_.grad_enabled);
}

TEST_F(Generate, RefusesAnEmptyPromptAndNoContext) {
  EXPECT_THROW(generate(context_, *tiny_.model, {}, {.context_length = 64}), DataError);
  EXPECT_THROW(generate(context_, *tiny_.model, {1}, {}), ConfigError);
}

}  // namespace
}  // namespace trireme::testing
