#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "core/base/error.h"
#include "core/models/flops.h"
#include "core/ops/elementwise.h"
#include "tests/support/test_batch.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kVocabulary = 11;

ModelConfig tiny_recurrent(RecurrentCell cell, int64_t hidden_size = 6) {
  ModelConfig config = family_named("recurrent").defaults();
  config.recurrent_cell = cell;
  config.num_layers = 2;
  config.hidden_size = hidden_size;
  config.vocab_size = kVocabulary;
  config.resolve(0, 7);
  return config;
}

/// One of every kind: each cell, each attention, each place of the context.
std::vector<ModelConfig> all_kinds() {
  std::vector<ModelConfig> all(4, tiny_recurrent(RecurrentCell::kGru));
  all[1] = tiny_recurrent(RecurrentCell::kLstm);
  all[1].recurrent_attention = RecurrentAttention::kDot;
  all[1].attention_context = AttentionContext::kOutput;
  all[2] = tiny_recurrent(RecurrentCell::kRnn);
  all[2].recurrent_attention = RecurrentAttention::kAdditive;
  all[2].bidirectional_encoder = all[2].recurrent_norm = true;
  all[3].recurrent_attention = RecurrentAttention::kAdditive;
  all[3].attention_context = AttentionContext::kOutput;
  all[3].encoder_num_layers = 1;
  return all;
}

Tensor integers(Context& context, const std::vector<int32_t>& values) {
  Tensor tensor = context.workspace({std::ssize(values)}, DType::kInt32);
  std::copy(values.begin(), values.end(), tensor.data<int32_t>());
  return tensor;
}

/// Three samples of `length` tokens with sources of 5, 2 and no tokens, padded to 5 or more.
Batch batch_of(Context& context, int64_t length, int64_t source_length = 5) {
  Batch batch = random_batch(context, 3, length, kVocabulary, 3);
  batch.source_tokens = random_ids(context, {3, source_length}, kVocabulary, 7);
  batch.source_positions = context.zeros({3, source_length}, DType::kInt32, MemoryCategory::kWorkspace);
  batch.source_lengths = integers(context, {5, 2, 0});
  return batch;
}

/// The gradients, one behind another.
std::vector<double> gradients_of(Context& context, TinyModel& tiny, const Batch& batch) {
  ForwardPass pass{.batch = batch, .seed = 3, .step = 4, .loss_scale = {0.125, 1.0}};
  tiny.store->begin_accumulation();
  const Variable loss = tiny.model->loss(context, pass);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  backward(context, {{loss, one}});
  tiny.store->finish_accumulation(context);
  std::vector<double> numbers = {element(loss.value(), 0)};
  for (const Parameter* parameter : tiny.store->parameters())
    for (int64_t i = 0; i < parameter->gradient.num_elements(); ++i)
      numbers.push_back(element(parameter->gradient, i));
  return numbers;
}

TEST(Recurrent, PaddingAndSourcesWithoutTokensNeverMatter) {
  for (const ModelConfig& config : all_kinds()) {
    Context context;
    TinyModel tiny(context, config, Precision::kFp64);
    Batch batch = batch_of(context, 4);
    const std::vector<double> expected = gradients_of(context, tiny, batch);
    EXPECT_THAT(expected, ::testing::Each(::testing::Truly([](double x) { return std::isfinite(x); })));
    for (int64_t t = 0; t < 5; ++t) batch.source_tokens.row<int32_t>(2)[t] = 1;
    for (int64_t t = 2; t < 5; ++t) batch.source_tokens.row<int32_t>(1)[t] = 9;
    EXPECT_EQ(gradients_of(context, tiny, batch), expected);
  }
}

TEST(Recurrent, ACacheGivesTheLogitsOfThePassOverEverything) {
  for (const ModelConfig& config : all_kinds()) {
    Context context;
    context.training = false;
    TinyModel tiny(context, config, Precision::kFp64);
    const Batch batch = batch_of(context, 5);
    ForwardPass whole{.batch = batch};
    const Tensor expected = tiny.model->logits(context, whole, false);
    const auto cache = tiny.model->make_cache(context, 3, 5);
    for (int64_t begin = 0; begin < 5; begin += begin == 0 ? 2 : 1) {  // windows of 2, 1, 1, 1 tokens
      const int64_t length = begin == 0 ? 2 : 1;
      Batch window = batch_of(context, length);
      for (int64_t sample = 0; sample < 3; ++sample)
        std::copy_n(batch.tokens.row<int32_t>(sample) + begin, length, window.tokens.row<int32_t>(sample));
      ForwardPass pass{.batch = window, .cache = cache.get()};
      const Tensor logits = tiny.model->logits(context, pass, false);
      for (int64_t row = 0; row < 3 * length; ++row)
        for (int64_t token = 0; token < kVocabulary; ++token)
          ASSERT_NEAR(element(logits, row * kVocabulary + token),
                      element(expected, (row / length * 5 + begin + row % length) * kVocabulary + token),
                      1e-14);
    }
  }
}

TEST(Recurrent, DropsOutBetweenLayers) {
  Context context;
  ModelConfig config = tiny_recurrent(RecurrentCell::kGru, 32);
  config.hidden_dropout = 0.5;
  TinyModel tiny(context, config, Precision::kFp64);
  Batch batch = random_batch(context, 1, 1, kVocabulary, 3);
  batch.source_tokens = random_ids(context, {1, 1}, kVocabulary, 7);
  batch.source_positions = batch.positions;
  gradients_of(context, tiny, batch);
  for (const Parameter* parameter : tiny.store->parameters()) {
    if (!parameter->name.ends_with("layers.1.input.weight")) continue;
    // One row of inputs: the column of one that was dropped gets no gradient, here in the third gate's rows.
    const Tensor row = parameter->gradient.slice(0, 2 * 32, 1);
    int dropped = 0;
    for (int64_t unit = 0; unit < 32; ++unit) dropped += element(row, unit) == 0.0;
    EXPECT_GT(dropped, 4) << parameter->name;
    EXPECT_LT(dropped, 28) << parameter->name;
  }
}

TEST(Recurrent, BiasesAreLeftOut) {
  for (ModelConfig config : all_kinds()) {
    config.add_bias_linear = false;
    nn::PlainLayerBuilder builder;
    const std::unique_ptr<Model> model = make_model(config, builder);
    for (const Parameter* parameter : model->parameters())
      EXPECT_TRUE(!parameter->name.ends_with(".bias") || parameter->name.find("norm") != std::string::npos)
          << parameter->name;
  }
}

TEST(Recurrent, OneAttentionAtMostCountsAsOperations) {
  nn::PlainLayerBuilder builder;
  for (const auto& [config, attentions] : {std::pair{all_kinds()[0], 0.0}, {all_kinds()[1], 1.0}}) {
    const std::unique_ptr<Model> model = make_model(config, builder);
    EXPECT_DOUBLE_EQ(flops_per_token(*model, config, 7).full,
                     6.0 * static_cast<double>(model->num_flop_parameters()) + attentions * 12 * 6 * 7);
  }
}

std::string message_of(ModelConfig config) {
  try {
    config.resolve(0, 7);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Recurrent, RefusesWhatMakesNoSenseAllAtOnce) {
  ModelConfig config = tiny_recurrent(RecurrentCell::kGru);
  config.recurrent_cell = RecurrentCell::kNone;
  config.hidden_size = 7;
  config.num_attention_heads = 7;
  config.kv_channels = 1;
  config.ffn_hidden_size = 12;
  config.activation = FeedForwardActivation::kRelu;
  config.position_embedding_type = PositionEmbedding::kSinusoidal;
  config.norm_position = NormPosition::kPre;
  config.attention_score = AttentionScore::kAdditive;
  config.scale_attention = config.feed_forward = config.residual_connections = false;
  config.share_query_key = true;
  config.normalization = Normalization::kNone;
  config.attention_dropout = 0.1;
  config.scale_init_by_depth = true;
  config.attention_context = AttentionContext::kOutput;
  config.bidirectional_encoder = true;
  const std::string message = message_of(config);
  for (const char* option :
       {"recurrent_cell none", "num_attention_heads", "num_query_groups", "kv_channels", "ffn_hidden_size",
        "activation", "position_embedding_type", "norm_position", "attention_dropout", "scale_init_by_depth",
        "attention_context output", "bidirectional_encoder", "attention_score", "scale_attention",
        "feed_forward", "residual_connections", "share_query_key", "normalization none"})
    EXPECT_THAT(message, HasSubstr(std::string("model.") + option + " makes no sense with family recurrent"));
}

TEST(Recurrent, OtherFamiliesRefuseItsOptions) {
  for (const char* family : {"gpt", "bert", "transformer"}) {
    ModelConfig config = family_named(family).defaults();
    config.vocab_size = kVocabulary;
    config.recurrent_cell = RecurrentCell::kGru;
    config.recurrent_attention = RecurrentAttention::kDot;
    config.attention_context = AttentionContext::kOutput;
    config.bidirectional_encoder = config.recurrent_norm = true;
    const std::string message = message_of(config);
    for (const char* option : {"recurrent_cell", "recurrent_attention", "attention_context",
                               "bidirectional_encoder", "recurrent_norm"})
      EXPECT_THAT(message, HasSubstr(std::string("model.") + option + ": given a value")) << family;
  }
}

}  // namespace
}  // namespace trireme::testing
