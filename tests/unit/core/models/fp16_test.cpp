// GPT-2 and Llama in float16 against float64 with the same weights.

#include <gtest/gtest.h>

#include <cmath>

#include "core/ops/elementwise.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

ModelConfig with_dropout(ModelConfig config) {
  config.hidden_dropout = 0.2;
  config.attention_dropout = 0.1;
  return config;
}

void run(Context& context, TinyModel& tiny, const Batch& batch, double loss_scale) {
  ForwardPass pass{.batch = batch, .seed = 3, .step = 5, .loss_scale = {loss_scale, 1.0}};
  const Variable loss = tiny.model->loss(context, pass);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  backward(context, {{loss, std::move(one)}});
}

/// Relative L2 error of all float16 gradients of a micro-batch whose losses have this weight, at a loss
/// scale.
double error_of(const ModelConfig& config, double weight, double scale) {
  Context context;
  TinyModel half(context, config, Precision::kFp16), exact(context, config, Precision::kFp64);
  const std::vector<Parameter*>& given = half.store->parameters();
  const std::vector<Parameter*>& expected = exact.store->parameters();
  for (size_t i = 0; i < given.size(); ++i) {
    fill_normal(given[i]->value, 20 + i, 0.3);
    ops::cast(context, given[i]->value, expected[i]->value);
  }
  const Batch batch = random_batch(context, 3, 7, 11, 2, 1000);
  run(context, half, batch, weight * scale);
  run(context, exact, batch, weight);
  double error = 0, norm = 0;
  for (size_t i = 0; i < given.size(); ++i)
    for (int64_t j = 0; j < expected[i]->gradient.num_elements(); ++j) {
      const double right = element(expected[i]->gradient, j);
      error += std::pow(element(given[i]->gradient, j) / scale - right, 2);
      norm += std::pow(right, 2);
    }
  return std::sqrt(error / norm);
}

/// Rounding errors of 2^-11 along the layers; Transformers' logits of models of this size have 1.5e-3
/// to 1.9e-3 (tests/oracle).
constexpr double kBound = 1.5e-3;

TEST(Fp16, GradientsAreThoseOfFp64WithinRounding) {
  for (const ModelConfig& config : {with_dropout(tiny_gpt2()), with_dropout(tiny_llama())}) {
    const double error = error_of(config, 0.05, 256);
    std::printf("relative L2 error of the gradients %.2e\n", error);
    EXPECT_LE(error, kBound);
  }
}

/// A global batch of millions of tokens gives each a weight that float16 cannot hold.
TEST(Fp16, GradientsOfALargeGlobalBatchLiveByTheLossScale) {
  for (const ModelConfig& config : {tiny_gpt2(), tiny_llama()}) {
    EXPECT_GE(error_of(config, 1e-8, 1), 0.5);
    EXPECT_LE(error_of(config, 1e-8, 0x1p27), kBound);
  }
}

}  // namespace
}  // namespace trireme::testing
