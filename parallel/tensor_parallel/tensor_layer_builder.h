#pragma once

#include "core/nn/disagreement_term.h"
#include "core/nn/plain_layer_builder.h"
#include "core/nn/score_tables.h"
#include "parallel/functions/row_exchange.h"

namespace trireme {

/// Layers whose features, heads and vocabulary are split over the ranks of a group (README.md), with
/// collectives inside and placements on the tensor axis. With `sequence_parallel` the residual stream is
/// divided by rows.
///
/// It owns the staging memory of its layers: it and `group` must outlive them. Every rank builds the same
/// layers; specs that cannot be split throw ConfigError with the arithmetic. For one rank use
/// nn::PlainLayerBuilder.
class TensorLayerBuilder final : public nn::LayerBuilder {
 public:
  /// `sum_over_data`: over the ranks that hold the other rows of a batch; null: there are none.
  TensorLayerBuilder(Communicator& group, bool sequence_parallel, SumOverRanks sum_over_data = {});

  std::unique_ptr<nn::Linear> column_linear(const nn::ColumnLinearSpec& spec) override;
  std::unique_ptr<nn::Linear> row_linear(const nn::RowLinearSpec& spec) override;
  std::unique_ptr<nn::VocabularyEmbedding> vocabulary_embedding(const nn::EmbeddingSpec& spec) override;
  std::unique_ptr<nn::ComplexEmbedding> complex_embedding(const nn::ComplexEmbeddingSpec& spec) override;
  std::unique_ptr<nn::PositionEmbedding> position_embedding(const nn::EmbeddingSpec& spec) override;
  std::unique_ptr<nn::PositionEmbedding> sinusoidal_positions(const nn::SinusoidSpec& spec) override;
  std::unique_ptr<nn::Dropout> dropout(const nn::DropoutSpec& spec) override;
  std::unique_ptr<nn::Norm> norm(const nn::NormSpec& spec) override;
  std::unique_ptr<nn::Norm> batch_norm(const nn::BatchNormSpec& spec) override;
  std::unique_ptr<nn::ForkNorm> fork_norm(const nn::NormSpec& spec) override;
  std::unique_ptr<nn::ResidualNorm> residual_norm(const nn::NormSpec& spec,
                                                  const nn::DropoutSpec& dropout) override;
  std::unique_ptr<nn::ResidualAdd> residual_add(const nn::DropoutSpec& dropout) override;
  std::unique_ptr<nn::SelfAttention> self_attention(const nn::AttentionSpec& spec) override;
  std::unique_ptr<nn::CrossAttention> cross_attention(const nn::AttentionSpec& spec) override;
  std::unique_ptr<nn::Linear> linear(const nn::LinearSpec& spec) override;
  std::unique_ptr<nn::FirstRows> first_rows() override;
  std::unique_ptr<nn::SampleLoss> sample_loss(const nn::SampleLossSpec& spec) override;
  std::unique_ptr<nn::Recurrence> recurrence(const nn::RecurrenceSpec& spec) override;
  std::unique_ptr<nn::StateAttention> state_attention(const nn::StateAttentionSpec& spec) override;
  std::unique_ptr<nn::VocabularyLoss> vocabulary_loss(const nn::VocabularyLossSpec& spec) override;
  int64_t residual_shards() const override { return exchange_.shard().count; }

 private:
  /// This rank's heads.
  nn::AttentionSpec local(const nn::AttentionSpec& spec) const;
  nn::ScoreTables local_tables(const nn::AttentionSpec& spec) const;
  nn::DisagreementTerm local_term(const nn::AttentionSpec& spec);
  int64_t first_head(const nn::AttentionSpec& spec) const;

  RowExchange exchange_;
  nn::PlainLayerBuilder plain_;  ///< of layers on the residual stream
};

}  // namespace trireme
