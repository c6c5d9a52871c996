#include "core/models/embedding_block.h"

#include <cmath>

#include "core/autograd/functions/scale.h"

namespace trireme {
namespace {

std::unique_ptr<nn::PositionEmbedding> make_positions(const ModelConfig& config, const std::string& name,
                                                      nn::LayerBuilder& builder) {
  const nn::EmbeddingSpec spec{name, config.max_position_embeddings, config.hidden_size,
                               embedding_init(config)};
  switch (config.position_embedding_type) {
    case PositionEmbedding::kLearnedAbsolute:
      return builder.position_embedding(spec);
    case PositionEmbedding::kSinusoidal:
      return builder.sinusoidal_positions(
          {config.max_position_embeddings, config.hidden_size, config.sinusoidal_form});
    case PositionEmbedding::kRope:
    case PositionEmbedding::kRelative:
    case PositionEmbedding::kRelativeXl:
    case PositionEmbedding::kAlibi:
    case PositionEmbedding::kComplex:
    case PositionEmbedding::kNone:
      break;
  }
  return nullptr;
}

/// A batch that says nothing has segment 0 only.
Tensor segments(Context& context, const Batch& batch) {
  if (batch.segments.defined()) return batch.segments;
  return context.zeros(batch.tokens.shape(), DType::kInt32, MemoryCategory::kWorkspace);
}

}  // namespace

EmbeddingBlock::EmbeddingBlock(const ModelConfig& config, const EmbeddingPlace& place,
                               nn::LayerBuilder& builder)
    : sequence_(place.sequence),
      scale_(config.scale_embeddings ? std::sqrt(static_cast<double>(config.hidden_size)) : 1.0),
      position_(make_positions(config, place.name + "position", builder)),
      dropout_(builder.dropout(
          {place.name.substr(0, place.name.size() - 1), config.hidden_dropout, place.sequence})) {
  EmbeddingBlock* shared = place.shared;
  if (config.position_embedding_type == PositionEmbedding::kComplex)
    complex_ = builder.complex_embedding({place.name, place.vocab_size, config.hidden_size,
                                          embedding_init(config), shared ? shared->complex_.get() : nullptr});
  else
    word_ = builder.vocabulary_embedding({place.name + "word", place.vocab_size, config.hidden_size,
                                          embedding_init(config), shared ? shared->word_.get() : nullptr});
  if (config.num_token_types > 0)
    segment_ = builder.position_embedding(
        {place.name + "segment", config.num_token_types, config.hidden_size, embedding_init(config)});
  if (config.embedding_norm) norm_ = optional_norm(config, place.name + "norm", place.sequence, builder);
}

void EmbeddingBlock::collect(std::vector<Parameter*>& parameters) {
  complex_ ? complex_->collect(parameters) : word_->collect(parameters);
  if (position_) position_->collect(parameters);
  if (segment_) segment_->collect(parameters);
  if (norm_) norm_->collect(parameters);
}

void EmbeddingBlock::collect_shared(std::vector<Parameter*>& parameters) {
  complex_ ? complex_->collect_shared(parameters) : word_->collect_shared(parameters);
}

void EmbeddingBlock::collect_buffers(std::vector<Buffer*>& buffers) {
  if (norm_) norm_->collect_buffers(buffers);
}

std::vector<Variable> EmbeddingBlock::forward(Context& context, ForwardPass& pass,
                                              const std::vector<Variable>& inputs) {
  const Batch& batch = pass.batch;
  const Tensor& tokens = sequence_ == Sequence::kSource ? batch.source_tokens : batch.tokens;
  Variable x = complex_ ? complex_->forward(context, tokens, batch.positions_of(sequence_))
                        : word_->forward(context, tokens);
  if (scale_ != 1.0) x = scale(context, x, scale_);
  if (position_) x = position_->forward(context, x, batch.positions_of(sequence_));
  if (segment_) x = segment_->forward(context, x, segments(context, batch));
  if (norm_) x = norm_->forward(context, pass, x);
  std::vector<Variable> outputs = {dropout_->forward(context, pass, x)};
  outputs.insert(outputs.end(), inputs.begin(), inputs.end());
  return outputs;
}

std::unique_ptr<EmbeddingBlock> make_source_embedding(const ModelConfig& config, nn::LayerBuilder& builder) {
  const EmbeddingPlace place{.name = config.share_source_embedding ? "embedding." : "encoder.embedding.",
                             .sequence = Sequence::kSource,
                             .vocab_size = config.source_vocab_size};
  return std::make_unique<EmbeddingBlock>(config, place, builder);
}

std::unique_ptr<EmbeddingBlock> make_target_embedding(const ModelConfig& config, EmbeddingBlock& source,
                                                      nn::LayerBuilder& builder) {
  const EmbeddingPlace place{.name = "decoder.embedding.",
                             .vocab_size = config.vocab_size,
                             .shared = config.share_source_embedding ? &source : nullptr};
  return std::make_unique<EmbeddingBlock>(config, place, builder);
}

}  // namespace trireme
