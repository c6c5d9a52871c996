#include "core/models/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/models/registry.h"

namespace trireme {
namespace {

using ::testing::HasSubstr;

TEST(ModelConfig, DerivesWhatIsLeftAtZero) {
  ModelConfig config;
  config.resolve(50257, 512);
  EXPECT_EQ(config.ffn_hidden_size, 3072);
  EXPECT_EQ(config.num_query_groups, 12);
  EXPECT_EQ(config.kv_channels, 64);
  EXPECT_EQ(config.vocab_size, 50257);
  EXPECT_EQ(config.max_position_embeddings, 512);
}

TEST(ModelConfig, KeepsWhatIsGiven) {
  ModelConfig config;
  config.ffn_hidden_size = 100;
  config.num_query_groups = 4;
  config.kv_channels = 32;
  config.vocab_size = 50304;
  config.max_position_embeddings = 2048;
  config.resolve(50257, 512);
  EXPECT_EQ(config.ffn_hidden_size, 100);
  EXPECT_EQ(config.num_query_groups, 4);
  EXPECT_EQ(config.kv_channels, 32);
  EXPECT_EQ(config.vocab_size, 50304);
  EXPECT_EQ(config.max_position_embeddings, 2048);
}

std::string message_of(ModelConfig config, int64_t tokenizer_vocab_size, int64_t seq_length) {
  try {
    config.resolve(tokenizer_vocab_size, seq_length);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(ModelConfig, ReportsEveryContradictionAtOnce) {
  ModelConfig config;
  config.hidden_size = 100;
  config.num_query_groups = 5;
  config.vocab_size = 10;
  config.max_position_embeddings = 16;
  const std::string message = message_of(config, 50257, 512);
  EXPECT_THAT(message, HasSubstr("model.hidden_size 100 is not a multiple of model.num_attention_heads 12"));
  EXPECT_THAT(message,
              HasSubstr("model.num_attention_heads 12 is not a multiple of model.num_query_groups 5"));
  EXPECT_THAT(message, HasSubstr("model.vocab_size 10 is smaller than the tokenizer's vocabulary of 50257"));
  EXPECT_THAT(message, HasSubstr("data.seq_length 512 is longer than model.max_position_embeddings 16"));
}

TEST(ModelConfig, RefusesAnOddHeadWithRope) {
  ModelConfig config;
  config.kv_channels = 7;
  config.position_embedding_type = PositionEmbedding::kRope;
  EXPECT_THAT(message_of(config, 10, 8), HasSubstr("must be even, given 7"));
}

TEST(ModelConfig, RefusesOptionsThatMakeNoSenseBesideOthers) {
  const auto lines = [](auto change) {
    ModelConfig config;
    change(config);
    return message_of(config, 10, 8);
  };
  EXPECT_THAT(lines([](ModelConfig& config) { config.relative_max_distance = 3; }),
              HasSubstr("they are of position_embedding_type relative"));
  EXPECT_THAT(lines([](ModelConfig& config) { config.relative_values = false; }),
              HasSubstr("they are of position_embedding_type relative"));
  for (const auto positions :
       {PositionEmbedding::kRelative, PositionEmbedding::kRelativeXl, PositionEmbedding::kRope})
    EXPECT_THAT(lines([&](ModelConfig& config) {
                  config.position_embedding_type = positions;
                  config.attention_score = AttentionScore::kAdditive;
                }),
                HasSubstr("model.attention_score: given additive, expected dot"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.scale_attention = false;
                config.attention_score = AttentionScore::kAdditive;
              }),
              HasSubstr("model.scale_attention: given false, expected true with attention_score additive"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.num_query_groups = 4;
                config.share_query_key = true;
              }),
              HasSubstr("model.share_query_key: given true, expected false with num_query_groups"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.normalization = Normalization::kNone;
                config.embedding_norm = true;
              }),
              HasSubstr("model.embedding_norm: given true, expected false with normalization none"));
  EXPECT_THAT(lines([](ModelConfig& config) { config.batch_norm_momentum = 0.2; }),
              HasSubstr("they are of normalization BatchNorm"));
  EXPECT_THAT(lines([](ModelConfig& config) { config.batch_norm_padding = true; }),
              HasSubstr("they are of normalization BatchNorm"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.normalization = Normalization::kBatchNorm;
                config.add_norm_bias = false;
              }),
              HasSubstr("model.add_norm_bias: given false, expected true with normalization BatchNorm"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config = family_named("recurrent").defaults();
                config.normalization = Normalization::kBatchNorm;
              }),
              HasSubstr("model.normalization makes no sense with family recurrent: without recurrent_norm"));
}

TEST(ModelConfig, AsksForAVocabularyWhereThereIsNone) {
  EXPECT_THAT(message_of(ModelConfig(), 0, 8), HasSubstr("model.vocab_size is 0"));
}

TEST(ModelConfig, RefusesLabelSmoothingOfAClassifier) {
  ModelConfig config = family_named("bert").defaults();
  config.num_classes = 2;
  config.label_smoothing = 0.1;
  EXPECT_THAT(message_of(config, 11, 8), HasSubstr("model.label_smoothing: given a value, expected 0"));
}

}  // namespace
}  // namespace trireme
