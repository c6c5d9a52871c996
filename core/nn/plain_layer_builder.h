#pragma once

#include "core/autograd/functions/batch_norm.h"
#include "core/nn/layer_builder.h"

namespace trireme::nn {

/// Layers that compute on this rank alone; no parameter has a placement. `shard`: the rows of the residual
/// stream that the layers on it get (dropout, norms, positions). `sum_over_ranks`: over those that hold the
/// other rows of a batch; null: there are none.
class PlainLayerBuilder final : public LayerBuilder {
 public:
  explicit PlainLayerBuilder(const RowShard& shard = {}, SumOverRanks sum_over_ranks = {})
      : shard_(shard), sum_over_ranks_(std::move(sum_over_ranks)) {}
  std::unique_ptr<Linear> column_linear(const ColumnLinearSpec& spec) override;
  std::unique_ptr<Linear> row_linear(const RowLinearSpec& spec) override;
  std::unique_ptr<VocabularyEmbedding> vocabulary_embedding(const EmbeddingSpec& spec) override;
  std::unique_ptr<ComplexEmbedding> complex_embedding(const ComplexEmbeddingSpec& spec) override;
  std::unique_ptr<PositionEmbedding> position_embedding(const EmbeddingSpec& spec) override;
  std::unique_ptr<PositionEmbedding> sinusoidal_positions(const SinusoidSpec& spec) override;
  std::unique_ptr<Dropout> dropout(const DropoutSpec& spec) override;
  std::unique_ptr<Norm> norm(const NormSpec& spec) override;
  std::unique_ptr<Norm> batch_norm(const BatchNormSpec& spec) override;
  std::unique_ptr<ForkNorm> fork_norm(const NormSpec& spec) override;
  std::unique_ptr<ResidualNorm> residual_norm(const NormSpec& spec, const DropoutSpec& dropout) override;
  std::unique_ptr<ResidualAdd> residual_add(const DropoutSpec& dropout) override;
  std::unique_ptr<SelfAttention> self_attention(const AttentionSpec& spec) override;
  std::unique_ptr<CrossAttention> cross_attention(const AttentionSpec& spec) override;
  std::unique_ptr<Linear> linear(const LinearSpec& spec) override;
  std::unique_ptr<FirstRows> first_rows() override;
  std::unique_ptr<SampleLoss> sample_loss(const SampleLossSpec& spec) override;
  std::unique_ptr<Recurrence> recurrence(const RecurrenceSpec& spec) override;
  std::unique_ptr<StateAttention> state_attention(const StateAttentionSpec& spec) override;
  std::unique_ptr<VocabularyLoss> vocabulary_loss(const VocabularyLossSpec& spec) override;
  int64_t residual_shards() const override { return shard_.count; }

 private:
  RowShard shard_;
  SumOverRanks sum_over_ranks_;
};

}  // namespace trireme::nn
