#include "core/generation/translate.h"

#include <gtest/gtest.h>

#include "core/base/error.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

constexpr int64_t kVocabulary = 13, kPositions = 12;
constexpr int32_t kBegin = 11, kEnd = 12;

ModelConfig transformer() {
  ModelConfig config = family_named("transformer").defaults();
  config.num_layers = 2;
  config.hidden_size = 8;
  config.num_attention_heads = 2;
  config.vocab_size = kVocabulary;
  config.hidden_dropout = 0.5;  // must not act
  config.resolve(0, kPositions);
  return config;
}

ModelConfig complex_transformer() {
  ModelConfig config = transformer();
  config.position_embedding_type = PositionEmbedding::kComplex;
  config.untie_embeddings_and_output_weights = true;
  config.disagreement = Disagreement::kMap;  // must not act
  config.resolve(0, kPositions);
  return config;
}

ModelConfig lstm_with_output_attention() {
  ModelConfig config = family_named("recurrent").defaults();
  config.recurrent_cell = RecurrentCell::kLstm;
  config.recurrent_attention = RecurrentAttention::kDot;
  config.attention_context = AttentionContext::kOutput;
  config.num_layers = 2;
  config.hidden_size = 8;
  config.vocab_size = kVocabulary;
  config.hidden_dropout = 0.5;
  config.resolve(0, kPositions);
  return config;
}

ModelConfig gru_with_input_attention() {
  ModelConfig config = family_named("recurrent").defaults();
  config.recurrent_attention = RecurrentAttention::kAdditive;
  config.bidirectional_encoder = true;
  config.hidden_size = 8;
  config.vocab_size = kVocabulary;
  config.resolve(0, kPositions);
  return config;
}

class Translate : public ::testing::TestWithParam<ModelConfig (*)()> {
 protected:
  Translate() : tiny_(context_, GetParam()(), Precision::kFp32) {
    uint64_t seed = 0;
    for (Parameter* parameter : tiny_.store->parameters()) fill_normal(parameter->value, ++seed, 0.4);
  }
  static TranslationOptions options() {
    return {.begin = kBegin, .end = kEnd, .source_end = kEnd, .max_tokens = kPositions};
  }

  /// Every token from a pass over the source and all target tokens before it, without padding or cache.
  std::vector<int32_t> alone(std::vector<int32_t> source, int64_t max_extra_tokens) {
    context_.training = false;
    source.push_back(kEnd);
    std::vector<int32_t> target = {kBegin};
    const auto integers = [&](const std::vector<int32_t>& values) {
      Tensor tensor = context_.workspace({1, std::ssize(values)}, DType::kInt32);
      std::copy(values.begin(), values.end(), tensor.data<int32_t>());
      return tensor;
    };
    const auto count_up = [&](int64_t length) {
      std::vector<int32_t> numbers(static_cast<size_t>(length));
      for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int32_t>(i);
      return integers(numbers);
    };
    for (int64_t t = 0; t < kPositions; ++t) {
      Batch batch;
      batch.tokens = integers(target);
      batch.positions = count_up(std::ssize(target));
      batch.source_tokens = integers(source);
      batch.source_positions = count_up(std::ssize(source));
      batch.sample_ids = context_.zeros({1}, DType::kInt64, MemoryCategory::kWorkspace);
      ForwardPass pass{.batch = batch};
      const int32_t token = sample_token(tiny_.model->logits(context_, pass, true), {.temperature = 0}, 0, t);
      if (token == kEnd) break;
      target.push_back(token);
      if (std::ssize(target) - 1 >= std::ssize(source) + max_extra_tokens) break;
    }
    context_.training = true;
    return {target.begin() + 1, target.end()};
  }

  Context context_;
  TinyModel tiny_;
};

TEST_P(Translate, OfManySourcesAtOnceIsThatOfEachAlone) {
  const std::vector<std::vector<int32_t>> sources = {{1, 2, 3, 4, 5}, {7}, {}, {3, 3, 9, 1, 2, 6, 8}};
  for (const int64_t extra : {50, 1}) {
    TranslationOptions given = options();
    given.max_extra_tokens = extra;
    const auto targets = translate(context_, *tiny_.model, sources, given);
    for (size_t i = 0; i < sources.size(); ++i) EXPECT_EQ(targets[i], alone(sources[i], extra)) << i;
  }
}

TEST_P(Translate, CutsSourcesThatAreLongerThanTheModelReads) {
  const auto targets = translate(context_, *tiny_.model, {std::vector<int32_t>(40, 5)}, options());
  EXPECT_EQ(targets[0], alone(std::vector<int32_t>(kPositions - 1, 5), 50));
}

TEST_P(Translate, RefusesAModelWithoutPositions) {
  TranslationOptions given = options();
  given.max_tokens = 1;
  EXPECT_THROW(translate(context_, *tiny_.model, {{1}}, given), ConfigError);
  EXPECT_TRUE(context_.training);
}

INSTANTIATE_TEST_SUITE_P(Families, Translate,
                         ::testing::Values(transformer, complex_transformer, lstm_with_output_attention,
                                           gru_with_input_attention));

}  // namespace
}  // namespace trireme::testing
