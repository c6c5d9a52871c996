// BatchNorm inside models: what its statistics are of, and when they move.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/nn/evaluation_guard.h"
#include "core/ops/elementwise.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"
#include "tests/support/values.h"

namespace trireme::testing {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kSamples = 3, kLength = 7, kVocabulary = 11;

ModelConfig with_batch_norm(ModelConfig config) {
  config.normalization = Normalization::kBatchNorm;
  config.resolve(0, kLength);
  return config;
}

ModelConfig tiny(const char* family) {
  ModelConfig config = family_named(family).defaults();
  config.num_layers = 2;
  config.hidden_size = 8;
  config.ffn_hidden_size = 12;
  config.num_attention_heads = 2;
  config.vocab_size = kVocabulary;
  config.hidden_dropout = config.attention_dropout = 0;
  return with_batch_norm(config);
}

std::vector<std::string> buffer_names(const ModelConfig& config) {
  nn::PlainLayerBuilder builder;
  const auto model = make_model(config, builder);
  std::vector<std::string> names;
  for (const Buffer* buffer : model->buffers()) names.push_back(buffer->name);
  return names;
}

/// A pass with its backward; gives the loss.
double train_on(Context& context, TinyModel& tiny, const Batch& batch,
                const RecomputeOptions& recompute = {}) {
  tiny.store->begin_accumulation();
  ForwardPass pass{.batch = batch, .seed = 3, .step = 5, .recompute = recompute};
  Variable loss = tiny.model->loss(context, pass);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  const double value = element(loss.value(), 0);
  backward(context, {{std::move(loss), std::move(one)}});
  return value;
}

Batch batch_of(Context& context, uint64_t seed) {
  return random_batch(context, kSamples, kLength, kVocabulary, seed);
}

Batch sample_of(Context& context, const Batch& batch, int64_t sample) {
  Batch one = random_batch(context, 1, kLength, kVocabulary, 1);
  one.tokens = clone(context, batch.tokens.slice(0, sample, 1));
  return one;
}

TEST(ModelBatchNorm, HasItsRunningStatisticsBesideEachNormAndNoneElsewhere) {
  const std::vector<std::string> gpt = buffer_names(with_batch_norm(tiny_gpt2()));
  ASSERT_EQ(gpt.size(), 2u * (2 * 2 + 1));
  EXPECT_EQ(gpt.front(), "layers.0.input_norm.running_mean");
  EXPECT_EQ(gpt[1], "layers.0.input_norm.running_variance");
  EXPECT_EQ(gpt.back(), "final_norm.running_variance");
  // The encoder's layers have 2 norms, the decoder's 3; BERT's embedding and head have one each.
  EXPECT_EQ(buffer_names(tiny("transformer")).size(), 2u * (2 * 2 + 2 * 3));
  EXPECT_EQ(buffer_names(tiny("bert")).size(), 2u * (1 + 2 * 2 + 1));
  EXPECT_TRUE(buffer_names(tiny_gpt2()).empty());
}

TEST(ModelBatchNorm, BuffersAreNoParameters) {
  Context context;
  const TinyModel layer_norm(context, tiny_gpt2(), Precision::kFp64),
      batch_norm(context, with_batch_norm(tiny_gpt2()), Precision::kFp64);
  EXPECT_EQ(batch_norm.model->num_parameters(), layer_norm.model->num_parameters());
  EXPECT_EQ(batch_norm.store->num_elements(), layer_norm.store->num_elements());
  EXPECT_EQ(batch_norm.store->buffer_values().num_elements(), 2 * 5 * 8);
}

TEST(ModelBatchNorm, StatisticsMoveOnceAMicroBatchHoweverLayersAreMadeAgain) {
  const auto after_two = [](const RecomputeOptions& recompute) {
    Context context;
    TinyModel model(context, with_batch_norm(tiny_gpt2()), Precision::kFp64);
    train_on(context, model, batch_of(context, 2), recompute);
    train_on(context, model, batch_of(context, 3), recompute);
    std::vector<double> all = values_of(model.store->buffer_values());
    for (const double gradient : values_of(model.store->gradients())) all.push_back(gradient);
    return all;
  };
  const std::vector<double> expected = after_two({});
  using enum RecomputeGranularity;
  for (const RecomputeOptions& recompute :
       {RecomputeOptions{kFull}, {kFull, 1}, {kSelective}, {kSelective, 1}})
    EXPECT_EQ(after_two(recompute), expected);
}

TEST(ModelBatchNorm, MovesByTheMomentumAndOnlyInTraining) {
  for (const double momentum : {0.0, 0.1, 0.7}) {
    Context context;
    ModelConfig config = with_batch_norm(tiny_gpt2());
    config.batch_norm_momentum = momentum;
    TinyModel model(context, config, Precision::kFp64);
    const Batch batch = batch_of(context, 2);
    const std::vector<double> first = values_of(model.store->buffer_values());
    {
      const EvaluationGuard evaluation(context);
      ForwardPass pass{.batch = batch};
      model.model->loss(context, pass);
    }
    EXPECT_EQ(values_of(model.store->buffer_values()), first);
    train_on(context, model, batch);
    // Activations do not depend on running statistics, so each pass moves them by the same rule to the same.
    const std::vector<double> second = values_of(model.store->buffer_values());
    train_on(context, model, batch);
    const std::vector<double> third = values_of(model.store->buffer_values());
    for (size_t i = 0; i < first.size(); ++i) {
      EXPECT_NEAR(third[i] - second[i], (1 - momentum) * (second[i] - first[i]), 1e-12);
      EXPECT_TRUE(momentum > 0 || second[i] == first[i]);
    }
    EXPECT_EQ(second == first, momentum == 0);
  }
}

TEST(ModelBatchNorm, InEvaluationASampleDoesNotSeeTheOthersAndInTrainingItDoes) {
  Context context;
  TinyModel model(context, with_batch_norm(tiny_gpt2()), Precision::kFp64);
  const Batch batch = batch_of(context, 2);
  for (int step = 0; step < 3; ++step) train_on(context, model, batch);
  ForwardPass together{.batch = batch};
  const Tensor all = model.model->logits(context, together, false);
  for (int64_t sample = 0; sample < kSamples; ++sample) {
    const Batch one = sample_of(context, batch, sample);
    ForwardPass alone{.batch = one};
    const Tensor logits = model.model->logits(context, alone, false);
    for (int64_t i = 0; i < kLength * kVocabulary; ++i)
      ASSERT_NEAR(element(logits, i), element(all, sample * kLength * kVocabulary + i), 1e-12);
  }
  Batch other = batch_of(context, 2);
  other.tokens = clone(context, batch.tokens);
  for (int64_t t = 0; t < kLength; ++t)
    other.tokens.row<int32_t>(2)[t] = (other.tokens.row<int32_t>(2)[t] + 1) % kVocabulary;
  other.targets = clone(context, batch.targets);
  for (Batch* one : {&other}) {
    for (int64_t t = 0; t < kLength; ++t) one->targets.row<int32_t>(2)[t] = -1;
  }
  Batch same = batch;
  same.targets = other.targets;
  EXPECT_NE(train_on(context, model, other), train_on(context, model, same));
}

TEST(ModelBatchNorm, CountsPaddingOnlyWhereAsked) {
  const auto loss_with = [](bool count_padding, int32_t padding) {
    Context context;
    ModelConfig config = tiny("bert");
    config.batch_norm_padding = count_padding;
    TinyModel model(context, config, Precision::kFp64);
    Batch batch = batch_of(context, 2);
    batch.lengths = context.workspace({kSamples}, DType::kInt32);
    batch.labels = context.zeros({kSamples}, DType::kInt32, MemoryCategory::kWorkspace);
    for (int64_t sample = 0; sample < kSamples; ++sample) {
      batch.lengths.data<int32_t>()[sample] = static_cast<int32_t>(kLength - 2 * sample);
      for (int64_t t = kLength - 2 * sample; t < kLength; ++t) {
        batch.tokens.row<int32_t>(sample)[t] = padding;
        batch.targets.row<int32_t>(sample)[t] = -1;
      }
    }
    return train_on(context, model, batch);
  };
  EXPECT_EQ(loss_with(false, 3), loss_with(false, 4));
  EXPECT_NE(loss_with(true, 3), loss_with(true, 4));
}

TEST(ModelBatchNorm, NormsTheInputsOfRecurrentLayersToo) {
  ModelConfig config = family_named("recurrent").defaults();
  config.hidden_size = 8;
  config.vocab_size = kVocabulary;
  config.normalization = Normalization::kBatchNorm;
  config.recurrent_norm = true;
  config.resolve(0, kLength);
  EXPECT_EQ(buffer_names(config).size(), 2u * 2);
  Context context;
  TinyModel model(context, config, Precision::kFp64);
  Batch batch = batch_of(context, 2);
  batch.source_tokens = random_ids(context, {kSamples, kLength}, kVocabulary, 8);
  batch.source_positions = batch.positions;
  const std::vector<double> before = values_of(model.store->buffer_values());
  train_on(context, model, batch);
  EXPECT_NE(values_of(model.store->buffer_values()), before);
}

TEST(ModelBatchNorm, OfOneTokenIsAnErrorBecauseItHasNoVariance) {
  Context context;
  TinyModel model(context, with_batch_norm(tiny_gpt2()), Precision::kFp32);
  const Batch batch = random_batch(context, 1, 1, kVocabulary, 2);
  EXPECT_THAT(message_of<DataError>([&] { train_on(context, model, batch); }),
              HasSubstr("1 rows count, 2 are needed"));
}

}  // namespace
}  // namespace trireme::testing
