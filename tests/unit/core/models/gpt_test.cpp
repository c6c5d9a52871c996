#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

#include "core/models/flops.h"
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

/// Forward and backward of one micro-batch; gives the summed loss.
double run(Context& context, TinyModel& tiny, const Batch& batch, double loss_scale,
           RecomputeGranularity recompute = RecomputeGranularity::kNone) {
  ForwardPass pass{
      .batch = batch, .seed = 3, .step = 5, .loss_scale = {loss_scale, 1.0}, .recompute = {recompute}};
  const Variable loss = tiny.model->loss(context, pass);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  backward(context, {{loss, std::move(one)}});
  return pass.losses[LossTerm::kTokens].sum;
}

Batch sample_of(const Batch& batch, int64_t sample) {
  Batch one;
  one.tokens = batch.tokens.slice(0, sample, 1);
  one.targets = batch.targets.slice(0, sample, 1);
  one.positions = batch.positions.slice(0, sample, 1);
  one.sample_ids = batch.sample_ids.slice(0, sample, 1);
  if (batch.key_begin.defined()) one.key_begin = batch.key_begin.slice(0, sample, 1);
  return one;
}

TEST(Gpt, GradientsAreTheSameForEverySplitIntoMicroBatches) {
  for (const ModelConfig& config : {with_dropout(tiny_gpt2()), with_dropout(tiny_llama())}) {
    Context context;
    TinyModel tiny(context, config, Precision::kFp64);
    const Batch batch = random_batch(context, 4, 7, 11, 2, 1000);
    const double whole_loss = run(context, tiny, batch, 0.05);
    const Tensor whole = clone(context, tiny.store->gradients());
    tiny.store->begin_accumulation();
    double split_loss = 0;
    for (int64_t i = 3; i >= 0; --i)  // another order on top
      split_loss += run(context, tiny, sample_of(batch, i), 0.05);
    EXPECT_NEAR(split_loss, whole_loss, 1e-11);
    for (int64_t i = 0; i < whole.num_elements(); ++i)
      ASSERT_NEAR(element(tiny.store->gradients(), i), element(whole, i), 1e-13);
  }
}

TEST(Gpt, AnnouncesEveryGradientOnceAPass) {
  for (const RecomputeGranularity recompute :
       {RecomputeGranularity::kNone, RecomputeGranularity::kFull, RecomputeGranularity::kSelective})
    for (const ModelConfig& config : {tiny_gpt2(), tiny_llama()}) {
      Context context;
      TinyModel tiny(context, config, Precision::kFp32);
      std::map<std::string, int> ready;
      for (Parameter* parameter : tiny.model->parameters())
        parameter->on_ready = [&](Parameter& p) { ++ready[p.name]; };
      run(context, tiny, random_batch(context, 2, 7, 11, 2), 0.05, recompute);
      EXPECT_EQ(ready.size(), tiny.model->parameters().size());
      for (const auto& [name, count] : ready) EXPECT_EQ(count, 1) << name;
    }
}

TEST(Gpt, FreesEveryActivationAfterBackward) {
  Context context;
  TinyModel tiny(context, tiny_gpt2(), Precision::kFp32);
  run(context, tiny, random_batch(context, 2, 7, 11, 2), 0.05);
  const auto& current = context.allocator.ledger().current;
  EXPECT_EQ(current[static_cast<size_t>(MemoryCategory::kActivations)], 0);
}

TEST(Gpt, UntrainedHasTheLossOfAGuess) {
  Context context;
  ModelConfig config = tiny_gpt2();
  config.vocab_size = 500;
  TinyModel tiny(context, config, Precision::kFp32);
  const Batch batch = random_batch(context, 2, 7, 500, 2);
  const GradModeGuard no_grad(context, false);
  ForwardPass pass{.batch = batch};
  tiny.model->loss(context, pass);
  EXPECT_NEAR(pass.losses[LossTerm::kTokens].sum / static_cast<double>(pass.losses[LossTerm::kTokens].count),
              std::log(500.0), 0.05);
}

TEST(Gpt, EvaluationLeavesGradientsAloneAndHasNoDropout) {
  Context context;
  TinyModel tiny(context, with_dropout(tiny_gpt2()), Precision::kFp64);
  const Batch batch = random_batch(context, 2, 7, 11, 2);
  const GradModeGuard no_grad(context, false);
  context.training = false;
  ForwardPass pass{.batch = batch, .step = 1}, other{.batch = batch, .step = 2};
  EXPECT_EQ(element(tiny.model->loss(context, pass).value(), 0),
            element(tiny.model->loss(context, other).value(), 0));
  for (Parameter* parameter : tiny.model->parameters()) EXPECT_FALSE(parameter->has_gradient());
}

TEST(Gpt, DropoutDiffersBetweenSteps) {
  Context context;
  TinyModel tiny(context, with_dropout(tiny_gpt2()), Precision::kFp64);
  const Batch batch = random_batch(context, 2, 7, 11, 2);
  const GradModeGuard no_grad(context, false);
  ForwardPass pass{.batch = batch, .step = 1}, other{.batch = batch, .step = 2};
  EXPECT_NE(element(tiny.model->loss(context, pass).value(), 0),
            element(tiny.model->loss(context, other).value(), 0));
}

TEST(Gpt, PackedDocumentsGiveTheLogitsOfSeparateOnes) {
  for (const ModelConfig& config : {tiny_gpt2(), tiny_llama()}) {
    Context context;
    TinyModel tiny(context, config, Precision::kFp64);
    Batch packed = random_batch(context, 1, 7, 11, 2);
    pack_documents(context, packed, 3);
    ForwardPass packed_pass{.batch = packed};
    const Tensor together = tiny.model->logits(context, packed_pass, false);
    int64_t row = 0;
    for (const auto& [begin, length] : {std::pair<int64_t, int64_t>{0, 3}, {3, 4}}) {
      Batch document = random_batch(context, 1, length, 11, 2);
      std::copy_n(packed.tokens.data<int32_t>() + begin, length, document.tokens.data<int32_t>());
      ForwardPass pass{.batch = document};
      const Tensor alone = tiny.model->logits(context, pass, false);
      for (int64_t i = 0; i < alone.num_elements(); ++i)
        ASSERT_NEAR(element(alone, i), element(together, row * 11 + i), 1e-13);
      row += length;
    }
  }
}

TEST(Gpt, GivesTheLogitsOfTheLastPositionAlone) {
  Context context;
  TinyModel tiny(context, tiny_llama(), Precision::kFp32);
  const Batch batch = random_batch(context, 3, 7, 11, 2);
  ForwardPass pass{.batch = batch};
  const Tensor all = tiny.model->logits(context, pass, false);
  const Tensor last = tiny.model->logits(context, pass, true);
  EXPECT_EQ(all.shape(), (Shape{21, 11}));
  ASSERT_EQ(last.shape(), (Shape{3, 11}));
  for (int64_t sample = 0; sample < 3; ++sample)
    for (int64_t i = 0; i < 11; ++i)
      EXPECT_NEAR(element(last, sample * 11 + i), element(all, (sample * 7 + 6) * 11 + i), 1e-6);
}

TEST(Gpt, NamesItsParametersLogically) {
  Context context;
  TinyModel tiny(context, tiny_llama(), Precision::kFp32);
  std::set<std::string> names;
  for (const Parameter* parameter : tiny.model->parameters())
    for (const ParameterPiece& piece : parameter->pieces) names.insert(piece.name);
  for (const char* name :
       {"embedding.word.weight", "layers.0.input_norm.weight", "layers.1.attention.query.weight",
        "layers.1.attention.key.weight", "layers.1.attention.value.weight",
        "layers.1.attention.output.weight", "layers.0.mlp_norm.weight", "layers.0.mlp.gate.weight",
        "layers.0.mlp.up.weight", "layers.0.mlp.down.weight", "final_norm.weight", "head.weight"})
    EXPECT_TRUE(names.count(name)) << name;
  EXPECT_EQ(names.size(), 3u + 2 * 9);
}

TEST(Gpt, DecaysMatricesOnly) {
  Context context;
  TinyModel tiny(context, tiny_gpt2(), Precision::kFp32);
  for (const Parameter* parameter : tiny.model->parameters())
    EXPECT_EQ(parameter->weight_decay, parameter->shape.size() == 2) << parameter->name;
}

TEST(Gpt, StartsResidualProjectionsSmaller) {
  Context context;
  ModelConfig config = tiny_gpt2();
  config.hidden_size = 64;
  config.ffn_hidden_size = 0;
  config.kv_channels = 0;
  config.resolve(0, 7);
  TinyModel tiny(context, config, Precision::kFp32);
  for (Parameter* parameter : tiny.model->parameters()) {
    if (parameter->shape.size() != 2 || parameter->value.num_elements() < 4096) continue;
    double squares = 0;
    for (int64_t i = 0; i < parameter->value.num_elements(); ++i)
      squares += std::pow(element(parameter->value, i), 2);
    const bool residual =
        parameter->name.ends_with("attention.output.weight") || parameter->name.ends_with("mlp.down.weight");
    EXPECT_NEAR(std::sqrt(squares / static_cast<double>(parameter->value.num_elements())),
                residual ? 0.02 / 2 : 0.02, 0.001)
        << parameter->name;
  }
}

TEST(Gpt, OfGpt2SmallHas124439808Parameters) {
  Context context;
  ModelConfig config;
  config.resolve(50257, 1024);
  nn::PlainLayerBuilder builder;
  const auto model = make_model(config, builder);
  EXPECT_EQ(model->num_parameters(), 124439808);
  EXPECT_EQ(model->num_flop_parameters(), 124439808 - 1024 * 768);
  const FlopCount flops = flops_per_token(*model, config, 1024);
  EXPECT_DOUBLE_EQ(flops.full, 6.0 * (124439808 - 1024 * 768) + 12.0 * 12 * 768 * 1024);
  EXPECT_DOUBLE_EQ(flops.causal, flops.full - 6.0 * 12 * 768 * 1024);
}

TEST(Gpt, OfLlamaCountsItsHeadButNotItsLookUpAsProducts) {
  Context context;
  nn::PlainLayerBuilder builder;
  const ModelConfig config = tiny_llama();
  const auto model = make_model(config, builder);
  EXPECT_EQ(model->num_flop_parameters(), model->num_parameters() - 11 * 8);
}

}  // namespace
}  // namespace trireme::testing
