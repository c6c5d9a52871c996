// What padding may do to a model: nothing.
#include <gtest/gtest.h>

#include <cmath>

#include "core/ops/elementwise.h"
#include "tests/support/gradient_check.h"
#include "tests/support/tiny_models.h"

namespace trireme::testing {
namespace {

constexpr int64_t kLength = 5, kSource = 7, kVocabulary = 11;

struct Case {
  const char* family;
  Normalization normalization = Normalization::kLayerNorm;
  Disagreement disagreement = Disagreement::kNone;
};

ModelConfig tiny(const Case& which) {
  ModelConfig config = family_named(which.family).defaults();
  config.normalization = which.normalization;
  config.disagreement = which.disagreement;
  config.num_layers = 2;
  config.hidden_size = 8;
  config.ffn_hidden_size = 12;
  config.num_attention_heads = 2;
  config.vocab_size = kVocabulary;
  config.hidden_dropout = config.attention_dropout = 0;
  config.resolve(0, kSource);
  return config;
}

/// Samples of `lengths` tokens (and `source_lengths`), all scored; the padding is drawn from `padding_seed`.
struct PaddedBatch {
  PaddedBatch(Context& context, const std::vector<int32_t>& lengths,
              const std::vector<int32_t>& source_lengths, uint64_t padding_seed) {
    const auto count = std::ssize(lengths);
    batch.tokens = padded(context, kLength, lengths, 1, padding_seed);
    batch.targets = padded(context, kLength, lengths, 2, 2);
    batch.segments = context.zeros({count, kLength}, DType::kInt32, MemoryCategory::kWorkspace);
    batch.source_tokens = padded(context, kSource, source_lengths, 3, padding_seed + 1);
    batch.lengths = vector(context, lengths);
    batch.source_lengths = vector(context, source_lengths);
    batch.labels = vector(context, std::vector<int32_t>(lengths.size(), 1));
    batch.positions = count_up(context, batch.tokens.shape());
    batch.source_positions = count_up(context, batch.source_tokens.shape());
    batch.sample_ids = context.zeros({count}, DType::kInt64, MemoryCategory::kWorkspace);
    for (int64_t row = 0; row < count; ++row) {
      if (lengths[static_cast<size_t>(row)] == 0) batch.labels.data<int32_t>()[row] = -1;
      for (int64_t t = lengths[static_cast<size_t>(row)]; t < kLength; ++t) {
        batch.targets.row<int32_t>(row)[t] = -1;
        batch.segments.row<int32_t>(row)[t] = static_cast<int32_t>(padding_seed % 2);
      }
    }
  }

  Batch batch;

 private:
  static Tensor vector(Context& context, const std::vector<int32_t>& values) {
    Tensor tensor = context.workspace({std::ssize(values)}, DType::kInt32);
    std::copy(values.begin(), values.end(), tensor.data<int32_t>());
    return tensor;
  }
  static Tensor count_up(Context& context, const Shape& shape) {
    Tensor tensor = context.workspace(shape, DType::kInt32);
    for (int64_t i = 0; i < tensor.num_elements(); ++i)
      tensor.data<int32_t>()[i] = static_cast<int32_t>(i % shape[1]);
    return tensor;
  }
  static Tensor padded(Context& context, int64_t length, const std::vector<int32_t>& lengths, uint64_t seed,
                       uint64_t padding_seed) {
    Tensor tokens = random_ids(context, {std::ssize(lengths), length}, kVocabulary, seed);
    const Tensor padding = random_ids(context, tokens.shape(), kVocabulary, 100 + padding_seed);
    for (int64_t row = 0; row < std::ssize(lengths); ++row)
      for (int64_t t = lengths[static_cast<size_t>(row)]; t < length; ++t)
        tokens.row<int32_t>(row)[t] = padding.row<int32_t>(row)[t];
    return tokens;
  }
};

/// Loss and every gradient of a pass, as one list.
std::vector<double> loss_and_gradients(const Case& which, const std::vector<int32_t>& lengths,
                                       const std::vector<int32_t>& source_lengths, uint64_t padding_seed) {
  Context context;
  TinyModel tiny_model(context, tiny(which), Precision::kFp64);
  const PaddedBatch padded(context, lengths, source_lengths, padding_seed);
  ForwardPass pass{.batch = padded.batch};
  tiny_model.store->begin_accumulation();
  const Variable loss = tiny_model.model->loss(context, pass);
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  std::vector<double> numbers = {loss.value().data<double>()[0]};
  backward(context, {{loss, one}});
  tiny_model.store->finish_accumulation(context);
  for (const Parameter* parameter : tiny_model.store->parameters())
    for (int64_t i = 0; i < parameter->gradient.num_elements(); ++i)
      numbers.push_back(element(parameter->gradient, i));
  return numbers;
}

TEST(HiddenTokens, OfAWholeSampleGiveFiniteNumbersAndTeachNoQueryOrKey) {
  Context context;
  TinyModel tiny_model(context, tiny({"bert"}), Precision::kFp64);
  PaddedBatch padded(context, {5, 3}, {7, 7}, 1);
  std::fill_n(padded.batch.tokens.data<int32_t>(), 2 * kLength, kHiddenToken);
  ForwardPass pass{.batch = padded.batch};
  tiny_model.store->begin_accumulation();
  const Variable loss = tiny_model.model->loss(context, pass);
  EXPECT_TRUE(std::isfinite(loss.value().data<double>()[0]));
  Tensor one = context.workspace({1}, loss.value().dtype());
  ops::fill(context, one, 1.0);
  backward(context, {{loss, one}});
  tiny_model.store->finish_accumulation(context);
  for (const Parameter* parameter : tiny_model.store->parameters())
    for (int64_t i = 0; i < parameter->gradient.num_elements(); ++i) {
      const double gradient = element(parameter->gradient, i);
      ASSERT_TRUE(std::isfinite(gradient)) << parameter->name;
      if (parameter->name.ends_with("attention.qkv.weight")) {
        ASSERT_EQ(gradient, 0.0) << parameter->name;
      }
    }
}

class PaddingBesideTokens : public ::testing::TestWithParam<Case> {};

TEST_P(PaddingBesideTokens, ContentChangesNoBitOfLossOrGradients) {
  const auto with = [&](uint64_t padding_seed) {
    return loss_and_gradients(GetParam(), {5, 3, 1}, {7, 2, 4}, padding_seed);
  };
  const std::vector<double> first = with(1);
  for (const uint64_t padding_seed : {2, 3, 4}) EXPECT_EQ(with(padding_seed), first);
  EXPECT_NE(loss_and_gradients(GetParam(), {5, 4, 1}, {7, 2, 4}, 1), first) << "lengths do nothing";
}

TEST_P(PaddingBesideTokens, OfAWholeSampleGivesFiniteNumbersAndNoGradient) {
  const std::vector<double> without = loss_and_gradients(GetParam(), {5, 3}, {7, 2}, 1);
  const std::vector<double> with = loss_and_gradients(GetParam(), {5, 3, 0}, {7, 2, 0}, 1);
  ASSERT_EQ(with.size(), without.size());
  for (size_t i = 0; i < with.size(); ++i) {
    ASSERT_TRUE(std::isfinite(with[i]));
    EXPECT_NEAR(with[i], without[i], 1e-12) << i;
  }
}

std::string name_of_case(const ::testing::TestParamInfo<Case>& info) {
  const bool batch_norm = info.param.normalization == Normalization::kBatchNorm;
  const int disagreement = static_cast<int>(info.param.disagreement);
  return std::string(info.param.family) + (batch_norm ? "_batch_norm" : "") +
         (disagreement ? "_disagreement_" + std::to_string(disagreement) : "");
}

constexpr Case kTransformer = {"transformer"}, kBert = {"bert"};
constexpr Case kSubspaces = {.family = "transformer", .disagreement = Disagreement::kSubspace},
               kOutputs = {.family = "transformer", .disagreement = Disagreement::kOutput},
               kMaps = {.family = "transformer", .disagreement = Disagreement::kMap};

INSTANTIATE_TEST_SUITE_P(Models, PaddingBesideTokens,
                         ::testing::Values(kTransformer, kBert,
                                           Case{"transformer", Normalization::kBatchNorm},
                                           Case{"bert", Normalization::kBatchNorm}, kSubspaces, kOutputs,
                                           kMaps),
                         name_of_case);

/// Without a token there are no statistics, so these are not for BatchNorm.
class Padding : public ::testing::TestWithParam<Case> {};

TEST_P(Padding, OfEverySampleGivesZeros) {
  for (const double number : loss_and_gradients(GetParam(), {0, 0}, {0, 0}, 1)) EXPECT_EQ(number, 0.0);
}

TEST_P(Padding, OfAWholeSourceLeavesTheTargetAlone) {
  for (const double number : loss_and_gradients(GetParam(), {5, 3}, {0, 0}, 1))
    EXPECT_TRUE(std::isfinite(number));
}

INSTANTIATE_TEST_SUITE_P(Families, Padding,
                         ::testing::Values(kTransformer, kBert, kSubspaces, kOutputs, kMaps), name_of_case);

}  // namespace
}  // namespace trireme::testing
