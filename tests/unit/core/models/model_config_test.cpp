#include "core/models/model_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

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
  EXPECT_THAT(lines([](ModelConfig& config) { config.disagreement_coefficient = 0.5; }),
              HasSubstr("model.disagreement_coefficient: given 0.5, expected nothing without disagreement"));
  EXPECT_THAT(
      lines([](ModelConfig& config) { config.position_embedding_type = PositionEmbedding::kComplex; }),
      HasSubstr("model.untie_embeddings_and_output_weights: given false, expected true with "
                "position_embedding_type complex"));
  EXPECT_THAT(
      lines([](ModelConfig& config) {
        config.position_embedding_type = PositionEmbedding::kComplex;
        config.untie_embeddings_and_output_weights = true;
        config.hidden_size = 9;
        config.num_attention_heads = 3;
      }),
      HasSubstr("complex embeddings are pairs of real and imaginary parts, so model.hidden_size must be "
                "even, given 9"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.disagreement = Disagreement::kMap;
                config.disagreement_coefficient = 0;
              }),
              HasSubstr("model.disagreement_coefficient: given 0, expected more; or disagreement none"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.disagreement = Disagreement::kOutput;
                config.num_attention_heads = 1;
              }),
              HasSubstr("model.disagreement: given a value, expected none with one attention head"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.normalization = Normalization::kNone;
                config.embedding_norm = true;
              }),
              HasSubstr("model.embedding_norm: given true, expected false with normalization none"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config.normalization = Normalization::kBatchNorm;
                config.add_norm_bias = false;
              }),
              HasSubstr("model.add_norm_bias: given false, expected true with normalization BatchNorm"));
  EXPECT_THAT(lines([](ModelConfig& config) {
                config = family_named("recurrent").defaults();
                config.normalization = Normalization::kBatchNorm;
              }),
              HasSubstr("model.normalization: given BatchNorm, expected nothing without recurrent_norm or"));
}

TEST(ModelConfig, AsksForAVocabularyWhereThereIsNone) {
  EXPECT_THAT(message_of(ModelConfig(), 0, 8), HasSubstr("model.vocab_size is 0"));
}

TEST(ModelConfig, RefusesWhatWouldBeIgnored) {
  struct Row {
    const char* family;
    std::function<void(ModelConfig&)> change;
    const char* error;
  };
  const Row rows[] = {
      {"gpt", [](auto& config) { config.relative_max_distance = 3; },
       "model.relative_max_distance: given 3, expected nothing without position_embedding_type relative"},
      {"gpt", [](auto& config) { config.relative_values = false; },
       "model.relative_values: given false, expected nothing without position_embedding_type relative"},
      {"gpt", [](auto& config) { config.rotary_base = 5e5; },
       "model.rotary_base: given 500000, expected nothing without position_embedding_type rope"},
      {"gpt", [](auto& config) { config.rotary_interleaved = true; },
       "model.rotary_interleaved: given true, expected nothing without position_embedding_type rope"},
      {"transformer",
       [](auto& config) {
         config.position_embedding_type = PositionEmbedding::kRelativeXl;
         config.sinusoidal_form = ops::SinusoidForm::kConcatenated;
       },
       "model.sinusoidal_form: given concatenated, expected nothing without position_embedding_type "
       "sinusoidal"},
      {"gpt",
       [](auto& config) {
         config.feed_forward = false;
         config.ffn_hidden_size = 3;
       },
       "model.ffn_hidden_size: given 3, expected nothing with feed_forward: false"},
      {"gpt",
       [](auto& config) {
         config.feed_forward = false;
         config.activation = FeedForwardActivation::kRelu;
       },
       "model.activation: given relu, expected nothing with feed_forward: false"},
      {"gpt",
       [](auto& config) {
         config.normalization = Normalization::kNone;
         config.norm_position = NormPosition::kPost;
       },
       "model.norm_position: given post, expected nothing with normalization none"},
      {"transformer",
       [](auto& config) {
         config.normalization = Normalization::kNone;
         config.norm_epsilon = 1e-3;
       },
       "model.norm_epsilon: given 0.001, expected nothing without norms"},
      {"gpt",
       [](auto& config) {
         config.normalization = Normalization::kNone;
         config.add_norm_bias = false;
       },
       "model.add_norm_bias: given false, expected nothing without norms"},
      {"recurrent", [](auto& config) { config.norm_epsilon = 1e-3; },
       "model.norm_epsilon: given 0.001, expected nothing without norms"},
      {"recurrent", [](auto& config) { config.normalization = Normalization::kRmsNorm; },
       "model.normalization: given RMSNorm, expected nothing without recurrent_norm or embedding_norm"},
      {"gpt", [](auto& config) { config.batch_norm_momentum = 0.2; },
       "model.batch_norm_momentum: given 0.2, expected nothing without normalization BatchNorm"},
      {"gpt", [](auto& config) { config.batch_norm_padding = true; },
       "model.batch_norm_padding: given true, expected nothing without normalization BatchNorm"},
      {"gpt", [](auto& config) { config.label_smoothing_form = ops::SmoothingForm::kOthers; },
       "model.label_smoothing_form: given others, expected nothing without label_smoothing"},
      {"bert",
       [](auto& config) {
         config.num_classes = 2;
         config.label_smoothing = 0.1;
       },
       "model.label_smoothing: given 0.1, expected nothing with num_classes"},
      {"bert",
       [](auto& config) {
         config.num_classes = 2;
         config.untie_embeddings_and_output_weights = true;
       },
       "model.untie_embeddings_and_output_weights: given true, expected nothing with num_classes"},
      {"transformer", [](auto& config) { config.scale_init_by_depth = true; },
       "model.scale_init_by_depth: given true, expected nothing with init_method xavier_uniform"},
  };
  for (const Row& row : rows) {
    ModelConfig config = family_named(row.family).defaults();
    row.change(config);
    EXPECT_THAT(message_of(config, 11, 8), HasSubstr(row.error));
  }
}

TEST(ModelConfig, NeverRefusesAFamilysOwnDefaults) {
  for (const Family& family : families()) EXPECT_EQ(message_of(family.defaults(), 11, 8), "") << family.name;
  ModelConfig config = family_named("gpt").defaults();  // whose scale_init_by_depth is true
  config.init_method = InitMethod::kXavierUniform;
  EXPECT_EQ(message_of(config, 11, 8), "");
  config = family_named("bert").defaults();  // the head of masked tokens has the activation
  config.feed_forward = false;
  config.activation = FeedForwardActivation::kTanh;
  EXPECT_EQ(message_of(config, 11, 8), "");
}

}  // namespace
}  // namespace trireme
