#pragma once

#include "core/models/gpt_config.h"
#include "core/models/model.h"
#include "core/nn/layer_builder.h"

namespace trireme {

/// Token and position embeddings, then dropout: {} -> {x}.
class GptEmbeddingBlock final : public Block {
 public:
  GptEmbeddingBlock(const GptConfig& config, nn::LayerBuilder& builder);
  void collect(std::vector<Parameter*>& parameters) override;
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override;
  double products_per_token(int64_t) const override { return 0; }
  nn::VocabularyEmbedding& word() { return *word_; }

 private:
  std::unique_ptr<nn::VocabularyEmbedding> word_;
  std::unique_ptr<nn::PositionEmbedding> position_;  ///< null without learned positions
  std::unique_ptr<nn::Dropout> dropout_;
};

/// One layer: {x} -> {x}. What backward makes again is up to pass.recompute.
class GptLayerBlock final : public Block {
 public:
  GptLayerBlock(const GptConfig& config, int64_t index, nn::LayerBuilder& builder);
  void collect(std::vector<Parameter*>& parameters) override;
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override;
  double products_per_token(int64_t seq_length) const override;

 private:
  Variable run(Context& context, ForwardPass& pass, const Variable& x);

  int64_t index_;  ///< in the whole model
  FeedForwardActivation activation_;
  double matrix_size_ = 0;      ///< elements of all its matrices
  double attention_width_ = 0;  ///< features of all heads
  std::unique_ptr<nn::ForkNorm> input_norm_;
  std::unique_ptr<nn::Linear> query_key_value_;
  std::unique_ptr<nn::SelfAttention> attention_;
  std::unique_ptr<nn::Linear> attention_output_;
  std::unique_ptr<nn::ResidualNorm> mlp_norm_;
  std::unique_ptr<nn::Linear> up_;
  std::unique_ptr<nn::Linear> down_;
  std::unique_ptr<nn::ResidualAdd> residual_;
};

/// Final norm and loss: {x} -> {scaled loss}. `tied`: the embedding whose matrix the head shares, or null.
class GptHeadBlock final : public Block {
 public:
  GptHeadBlock(const GptConfig& config, nn::LayerBuilder& builder, nn::VocabularyEmbedding* tied);
  void collect(std::vector<Parameter*>& parameters) override;
  void collect_shared(std::vector<Parameter*>& parameters) override;
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override;
  double products_per_token(int64_t) const override { return matrix_size_; }
  Tensor logits(Context& context, const Tensor& x);

 private:
  std::unique_ptr<nn::Norm> final_norm_;
  std::unique_ptr<nn::VocabularyLoss> loss_;
  double matrix_size_;
};

}  // namespace trireme
