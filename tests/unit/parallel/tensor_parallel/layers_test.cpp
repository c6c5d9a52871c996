#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/base/error.h"
#include "core/nn/parameters.h"
#include "core/ops/elementwise.h"
#include "parallel/comm/thread_communicator.h"
#include "parallel/tensor_parallel/tensor_layer_builder.h"
#include "tests/support/split_run.h"
#include "tests/support/test_batch.h"
#include "tests/support/values.h"

namespace trireme {
namespace {

using testing::all_splits;
using testing::compare;
using ::testing::HasSubstr;
using testing::message_of;
using testing::Split;
using testing::SplitBody;
using testing::SplitError;
using testing::SplitRank;

constexpr int64_t kSamples = 3, kLength = 8, kRows = kSamples * kLength, kWidth = 20;

/// Bounds of a layer alone. float64: the project's promise; measured 1e-15. float32 and bfloat16: terms are
/// added up in float32 in another order; a rounding to bfloat16 may then fall the other way (2^-8 of a
/// value).
constexpr std::pair<Precision, double> kBounds[] = {{Precision::kFp64, 1e-10},
                                                    {Precision::kFp32, 4e-6},
                                                    {Precision::kBf16, 1.6e-2},
                                                    {Precision::kFp16, 2e-3}};

class TensorLayers : public ::testing::Test {
 protected:
  /// `body` on every split gives what it gives on plain layers.
  void expect_parity(const SplitBody& body, const std::function<bool(const Split&)>& use = nullptr) {
    for (const auto& [precision, bound] : kBounds) {
      const std::string type = name_of(PrecisionConfig{precision}.compute());
      const auto expected = testing::run_plain(precision, body);
      for (const Split& split : all_splits(precision)) {
        if (use && !use(split)) continue;
        const SplitError error = compare(testing::run_split(split, body), expected);
        EXPECT_LE(error.error, bound) << describe(split) << ", " << type << ": " << error.where;
        worst_[type] = std::max(worst_[type], error.error);
      }
    }
  }
  void TearDown() override {
    for (const auto& [type, error] : worst_) RecordProperty(type, fmt::format("{:.1e}", error));
  }

 private:
  std::map<std::string, double> worst_;
};

Tensor drawn(const SplitRank& rank, const Shape& shape, uint64_t seed) {
  Tensor result = rank.context.activation(shape, rank.dtype());
  ops::cast(rank.context, testing::normal_tensor(rank.context, shape, DType::kFloat32, seed), result);
  return result;
}

/// The columns of a matrix [rows, all features] that belong to this rank's parts of the pieces of `weight`,
/// side by side; what several ranks hold is divided by their number.
Tensor my_columns(SplitRank& rank, const Tensor& matrix, const Parameter& weight) {
  Tensor mine = rank.context.activation({matrix.rows(), weight.shape[0]}, matrix.dtype());
  int64_t piece_begin = 0;
  for (const ParameterPiece& piece : weight.pieces) {
    const auto found = piece.placement.find(0);
    Tensor part = mine.slice(-1, piece.storage_row, piece.extent[0]);
    ops::cast(rank.context, matrix.slice(-1, piece_begin + piece.offset[0], piece.extent[0]), part);
    if (found != piece.placement.end() && found->second.copies > 1)
      for (int64_t row = 0; row < part.rows(); ++row) {
        Tensor values = part.slice(0, row, 1);
        ops::scale(rank.context, values, 1.0 / found->second.copies);
      }
    piece_begin += piece.global_shape[0];
  }
  return mine;
}

/// Adds this rank's columns of `mine` to the whole; those that several ranks hold once.
void merge_columns(SplitRank& rank, const std::string& name, const Tensor& mine, const Parameter& weight) {
  int64_t features = 0, piece_begin = 0;
  for (const ParameterPiece& piece : weight.pieces) features += piece.global_shape[0];
  for (const ParameterPiece& piece : weight.pieces) {
    const auto found = piece.placement.find(0);
    const bool first = found == piece.placement.end() || rank.group.rank() % found->second.copies == 0;
    if (first)
      rank.merge_box(name, mine.rows(), features, 0, piece_begin + piece.offset[0],
                     mine.slice(-1, piece.storage_row, piece.extent[0]));
    piece_begin += piece.global_shape[0];
  }
}

/// A projection to `outputs`, forward and backward.
SplitBody column_body(const std::vector<nn::OutputPiece>& outputs, int64_t width = kWidth) {
  return [=](SplitRank& rank) {
    const auto layer = rank.builder.column_linear(
        {.name = "packed", .outputs = outputs, .in_features = width, .init = nn::normal(0.5)});
    std::vector<Parameter*> parameters;
    layer->collect(parameters);
    const auto store = rank.make_store(parameters);
    int64_t features = 0;
    for (const nn::OutputPiece& piece : outputs) features += piece.features;
    const Tensor x = drawn(rank, {kRows, width}, 5);
    const Tensor d_y = drawn(rank, {kRows, features}, 6);
    const Variable leaf = Variable::leaf(rank.context, rank.my_rows(x));
    const Variable y = layer->forward(rank.context, leaf);
    merge_columns(rank, "y", y.value(), *parameters[0]);
    backward(rank.context, {{y, my_columns(rank, d_y, *parameters[0])}});
    rank.merge_rows("d_x", leaf.gradient());
    rank.merge_gradients(parameters);
  };
}

TEST_F(TensorLayers, AColumnLinearSplitsEachPieceByItself) {
  expect_parity(column_body({{"gate", 9}, {"up", 9}}));
}

TEST_F(TensorLayers, ColumnLinearKeepsHeadsWholeAndRepeatsTheFewOfKeysAndValues) {
  for (const int64_t groups : {1, 2, 3, 4, 12})
    expect_parity(
        column_body({{"query", 24, 12}, {"key", 2 * groups, groups}, {"value", 2 * groups, groups}}),
        [=](const Split& split) { return groups % split.num_ranks == 0 || split.num_ranks % groups == 0; });
}

SplitBody row_body(int64_t width = kWidth) {
  return [=](SplitRank& rank) {
    constexpr int64_t kIn = 13;
    const auto layer = rank.builder.row_linear(
        {.name = "down", .in_features = kIn, .out_features = width, .init = nn::normal(0.5)});
    std::vector<Parameter*> parameters;
    layer->collect(parameters);
    const auto store = rank.make_store(parameters);
    const ParameterPiece& piece = parameters[0]->pieces[0];
    const Tensor x = drawn(rank, {kRows, kIn}, 5);
    const Tensor d_y = drawn(rank, {kRows, width}, 6);
    const Variable leaf = Variable::leaf(rank.context, x.slice(-1, piece.offset[1], piece.extent[1]));
    const Variable y = layer->forward(rank.context, leaf);
    rank.merge_rows("y", y.value());
    backward(rank.context, {{y, rank.my_rows(d_y)}});
    rank.merge_box("d_x", kRows, kIn, 0, piece.offset[1], leaf.gradient());
    rank.merge_gradients(parameters);
  };
}

TEST_F(TensorLayers, ARowLinearAddsUpTheRanksTermsAndTheBiasOnce) {
  expect_parity(row_body());
}

TEST_F(TensorLayers, RowsWithPaddingTravelWithIt) {
  expect_parity(column_body({{"gate", 9}, {"up", 9}}, 256));
  expect_parity(row_body(256));
}

TEST_F(TensorLayers, AnEmbeddingOverAnUnevenVocabularyIsExact) {
  const SplitBody body = [](SplitRank& rank) {
    constexpr int64_t kVocabulary = 11;
    const auto words = rank.builder.vocabulary_embedding({"word", kVocabulary, kWidth, nn::normal(1.0)});
    const auto places = rank.builder.position_embedding({"position", kLength, kWidth, nn::normal(1.0)});
    std::vector<Parameter*> parameters;
    words->collect(parameters);
    places->collect(parameters);
    const auto store = rank.make_store(parameters);
    Batch batch = testing::random_batch(rank.context, kSamples, kLength, kVocabulary, 3);
    testing::pack_documents(rank.context, batch, 5);
    const Variable x = words->forward(rank.context, batch.tokens);
    const Variable y = places->forward(rank.context, x, batch.positions);
    rank.merge_rows("x", x.value());
    rank.merge_rows("y", y.value());
    const Tensor d_y = drawn(rank, {kRows, kWidth}, 6);
    backward(rank.context, {{y, rank.my_rows(d_y)}});
    rank.merge_gradients(parameters);
  };
  expect_parity(body);
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    const auto expected = testing::run_plain(precision, body);
    for (const Split& split : all_splits(precision)) {
      const auto given = testing::run_split(split, body);
      for (const char* name : {"x", "y", "word.weight"}) EXPECT_EQ(given.at(name), expected.at(name)) << name;
    }
  }
}

TEST_F(TensorLayers, TheResidualStreamHasOneRanksMasksAndNormsOnItsRows) {
  for (const NormKind kind : {NormKind::kLayerNorm, NormKind::kRmsNorm})
    expect_parity([=](SplitRank& rank) {
      const bool bias = kind == NormKind::kLayerNorm;
      const auto dropout = rank.builder.dropout({"embedding", 0.3});
      const auto fork = rank.builder.fork_norm({"fork", kind, kWidth, 1e-5, bias});
      const auto join = rank.builder.residual_norm({"join", kind, kWidth, 1e-5, bias}, {"branch", 0.4});
      const auto add = rank.builder.residual_add({"last", 0.2});
      const auto norm = rank.builder.norm({"final", kind, kWidth, 1e-5, bias});
      std::vector<Parameter*> parameters;
      fork->collect(parameters);
      join->collect(parameters);
      norm->collect(parameters);
      const auto store = rank.make_store(parameters);
      const Batch batch = testing::random_batch(rank.context, kSamples, kLength, 7, 3, 100);
      ForwardPass pass{.batch = batch, .seed = 9, .step = 2};
      const Variable x = Variable::leaf(rank.context, rank.my_rows(drawn(rank, {kRows, kWidth}, 5)));
      ResidualNormOutput stream = fork->forward(rank.context, dropout->forward(rank.context, pass, x));
      stream = join->forward(rank.context, pass, stream.normalized, stream.sum);
      const Variable y =
          norm->forward(rank.context, pass, add->forward(rank.context, pass, stream.normalized, stream.sum));
      rank.merge_rows("y", y.value());
      const Tensor d_y = drawn(rank, {kRows, kWidth}, 6);
      backward(rank.context, {{y, rank.my_rows(d_y)}});
      rank.merge_rows("d_x", x.gradient());
      rank.merge_gradients(parameters);
    });
}

TEST_F(TensorLayers, SelfAttentionHasItsOwnHeadsAndTheirMasks) {
  for (const int64_t groups : {1, 2, 12})
    expect_parity(
        [=](SplitRank& rank) {
          const auto projection = rank.builder.column_linear(
              {.name = "packed",
               .outputs = {{"query", 24, 12}, {"key", 2 * groups, groups}, {"value", 2 * groups, groups}},
               .in_features = kWidth,
               .init = nn::normal(0.5)});
          nn::AttentionSpec spec{.name = "attention",
                                 .num_heads = 12,
                                 .num_query_groups = groups,
                                 .head_dim = 2,
                                 .dropout = 0.3};
          spec.rotary = ops::RotaryOptions{};
          const auto attention = rank.builder.self_attention(spec);
          std::vector<Parameter*> parameters;
          projection->collect(parameters);
          const auto store = rank.make_store(parameters);
          Batch batch = testing::random_batch(rank.context, kSamples, kLength, 7, 3, 100);
          testing::pack_documents(rank.context, batch, 5);
          ForwardPass pass{.batch = batch, .seed = 9, .step = 2};
          const Variable x = Variable::leaf(rank.context, rank.my_rows(drawn(rank, {kRows, kWidth}, 5)));
          const Variable y = attention->forward(rank.context, pass, projection->forward(rank.context, x));
          const int64_t begin = parameters[0]->pieces[0].offset[0];
          rank.merge_box("y", kRows, 24, 0, begin, y.value());
          const Tensor d_y = drawn(rank, {kRows, 24}, 6);
          backward(rank.context, {{y, d_y.slice(-1, begin, y.value().cols())}});
          rank.merge_rows("d_x", x.gradient());
          rank.merge_gradients(parameters);
        },
        [=](const Split& split) { return groups % split.num_ranks == 0 || split.num_ranks % groups == 0; });
}

TEST_F(TensorLayers, TheLossOverAnUnevenVocabularyNeedsNoLogitsOfOthers) {
  for (const bool graph : {true, false})
    expect_parity([=](SplitRank& rank) {
      constexpr int64_t kVocabulary = 11;
      const auto head = rank.builder.vocabulary_loss({"head", kVocabulary, kWidth, nn::normal(0.5), nullptr});
      std::vector<Parameter*> parameters;
      head->collect(parameters);
      const auto store = rank.make_store(parameters);
      const Batch batch = testing::random_batch(rank.context, kSamples, kLength, kVocabulary, 3);
      ForwardPass pass{.batch = batch, .loss_scale = {0.7, 1.0}};
      rank.context.grad_enabled = graph;
      const Tensor hidden = drawn(rank, {kRows, kWidth}, 5);
      const Variable x =
          graph ? Variable::leaf(rank.context, rank.my_rows(hidden)) : Variable(rank.my_rows(hidden));
      const Variable loss = head->loss(rank.context, pass, x);
      rank.merged.equal("loss", {pass.losses[LossTerm::kTokens].sum, testing::values_of(loss.value())[0]});
      EXPECT_EQ(pass.losses[LossTerm::kTokens].count, batch.num_targets[LossTerm::kTokens]);
      if (!graph) return;
      backward(rank.context, {{loss, testing::tensor_of(rank.context, {1}, {1.0}, loss.value().dtype())}});
      rank.merge_rows("d_x", x.gradient());
      rank.merge_gradients(parameters);
    });
}

TEST_F(TensorLayers, LogitsOfAllRanksComeTogetherWithoutRowShards) {
  expect_parity(
      [](SplitRank& rank) {
        const auto head = rank.builder.vocabulary_loss({"head", 11, kWidth, nn::normal(0.5), nullptr});
        std::vector<Parameter*> parameters;
        head->collect(parameters);
        const auto store = rank.make_store(parameters);
        const Tensor hidden = drawn(rank, {kRows, kWidth}, 5);
        rank.merged.equal("logits", testing::values_of(head->logits(rank.context, hidden)));
      },
      [](const Split& split) { return !split.sequence_parallel; });
}

/// The message with which a builder on `num_ranks` ranks refuses.
std::string refusal(int num_ranks, const std::function<void(TensorLayerBuilder&)>& build) {
  std::string message;
  comm::run_thread_ranks(num_ranks, [&](Communicator& world) {
    TensorLayerBuilder builder(world, false);
    const std::string mine = message_of<ConfigError>([&] { build(builder); });
    if (world.rank() == 0) message = mine;
  });
  return message;
}

TEST_F(TensorLayers, WhatCannotBeSplitIsRefusedWithTheArithmetic) {
  const auto attention = [](int64_t heads, int64_t groups) {
    return [=](TensorLayerBuilder& builder) {
      builder.self_attention(
          {.name = "attention", .num_heads = heads, .num_query_groups = groups, .head_dim = 2});
    };
  };
  EXPECT_EQ(refusal(4, attention(6, 6)),
            "parallel.tensor_model_parallel_size = 4: the heads cannot be divided: "
            "model.num_attention_heads 6 / 4 leaves 2; sizes that work for this model: 1, 2, 3, 6");
  EXPECT_EQ(refusal(3, attention(12, 2)),
            "parallel.tensor_model_parallel_size = 3: the heads cannot be divided: model.num_query_groups 2: "
            "neither 2 / 3 nor 3 / 2 is whole; sizes that work for this model: 1, 2, 4, 6, 12");
  EXPECT_THAT(refusal(3,
                      [](TensorLayerBuilder& builder) {
                        builder.vocabulary_embedding({"word", 2, 8, nn::normal(1.0)});
                      }),
              HasSubstr("word: 2 cannot be split over 3 tensor ranks"));
}

TEST_F(TensorLayers, RowsThatDoNotDivideIntoShardsAreRefused) {
  comm::run_thread_ranks(2, [](Communicator& world) {
    Context context;
    RowExchange exchange(world, true);
    const Tensor term = exchange.term(context, 5, 2, DType::kFloat32);
    EXPECT_THAT(message_of<ShapeError>([&] { exchange.start_sum(term); }),
                HasSubstr("5 tokens of a micro-batch do not divide over 2 tensor ranks (5 % 2 = 1)"));
  });
}

}  // namespace
}  // namespace trireme
