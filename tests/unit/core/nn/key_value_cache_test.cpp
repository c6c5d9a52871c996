#include "core/nn/key_value_cache.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

/// Columns [begin, end) of every sample.
Batch window_of(Context& context, const Batch& batch, int64_t begin, int64_t end) {
  Batch window = random_batch(context, batch.num_samples(), end - begin, 2, 1);
  for (int64_t sample = 0; sample < batch.num_samples(); ++sample)
    for (int64_t i = begin; i < end; ++i) {
      window.tokens.row<int32_t>(sample)[i - begin] = batch.tokens.row<int32_t>(sample)[i];
      window.positions.row<int32_t>(sample)[i - begin] = batch.positions.row<int32_t>(sample)[i];
    }
  return window;
}

TEST(KeyValueCache, GivesTheLogitsOfThePassOverEverything) {
  std::vector<ModelConfig> configs = tiny_options();
  configs.push_back(tiny_gpt2());
  configs.push_back(tiny_llama());
  for (const ModelConfig& config : configs)
    for (const auto& [precision, bound] : {std::pair{Precision::kFp64, 1e-14}, {Precision::kFp32, 1e-6}}) {
      Context context;
      TinyModel tiny(context, config, precision);
      const Batch batch = random_batch(context, 3, 7, 11, 2);
      ForwardPass whole{.batch = batch};
      const Tensor expected = tiny.model->logits(context, whole, false);
      const auto cache = tiny.model->make_cache(context, 3, 9);
      for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 3}, {3, 4}, {4, 5}, {5, 7}}) {
        const Batch window = window_of(context, batch, begin, end);
        ForwardPass pass{.batch = window, .cache = cache.get()};
        const Tensor logits = tiny.model->logits(context, pass, false);
        EXPECT_EQ(cache->length(), end);
        for (int64_t sample = 0; sample < 3; ++sample)
          for (int64_t i = begin; i < end; ++i)
            for (int64_t token = 0; token < 11; ++token)
              ASSERT_NEAR(element(logits, (sample * (end - begin) + i - begin) * 11 + token),
                          element(expected, (sample * 7 + i) * 11 + token), bound);
      }
    }
}

TEST(KeyValueCache, RefusesMoreThanItsCapacity) {
  Context context;
  TinyModel tiny(context, tiny_gpt2(), Precision::kFp32);
  const Batch batch = random_batch(context, 1, 7, 11, 2);
  const auto cache = tiny.model->make_cache(context, 1, 6);
  ForwardPass pass{.batch = batch, .cache = cache.get()};
  EXPECT_THROW(tiny.model->logits(context, pass, false), ShapeError);
}

}  // namespace
}  // namespace trireme::testing
