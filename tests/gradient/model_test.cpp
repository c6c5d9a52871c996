// Whole models against finite differences in float64.

#include <gtest/gtest.h>

#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

double error_of(Context& context, const ModelConfig& config, bool packed_documents,
                RecomputeGranularity recompute) {
  TinyModel tiny(context, config, Precision::kFp64);
  uint64_t seed = 50;  // larger than trained values, so that every path matters
  for (Parameter* parameter : tiny.store->parameters()) fill_normal(parameter->value, ++seed, 0.4);
  Batch batch = random_batch(context, 2, 5, config.vocab_size, 9, 100);
  if (packed_documents) pack_documents(context, batch, 2);
  ForwardPass pass{
      .batch = batch, .seed = 3, .step = 4, .loss_scale = {0.125, 1.0}, .recompute = {recompute}};
  const GradientCase gradient_case = {
      {},
      tiny.model->parameters(),
      [&](Context& c, const auto&) -> std::vector<Variable> { return {tiny.model->loss(c, pass)}; },
      true};
  const GradientCheck check = check_gradients(context, gradient_case);
  EXPECT_LE(check.error, 1e-8) << check.worst;
  return check.error;
}

TEST(ModelGradients, OfATinyGpt2WithDropoutAndSelectiveRecomputeAreRight) {
  Context context;
  ModelConfig config = tiny_gpt2();
  config.hidden_dropout = 0.2;
  config.attention_dropout = 0.2;
  RecordProperty("error", std::to_string(error_of(context, config, false, RecomputeGranularity::kSelective)));
}

TEST(ModelGradients, OfATinyLlamaWithPackedDocumentsAndRecomputeAreRight) {
  Context context;
  RecordProperty("error", std::to_string(error_of(context, tiny_llama(), true, RecomputeGranularity::kFull)));
}

TEST(ModelGradients, OfEveryOptionWithDropoutPackedDocumentsAndRecomputeAreRight) {
  Context context;
  int number = 0;
  for (ModelConfig config : tiny_options()) {
    SCOPED_TRACE(++number);  // which of tiny_options()
    config.hidden_dropout = 0.2;
    config.attention_dropout = 0.2;
    error_of(context, config, true, RecomputeGranularity::kSelective);
    error_of(context, config, true, RecomputeGranularity::kFull);
  }
}

}  // namespace
}  // namespace trireme::testing
