#pragma once

#include "core/models/layer_parts.h"
#include "core/models/model.h"

namespace trireme {

class EmbeddingBlock;

/// What an embedding is of.
struct EmbeddingPlace {
  std::string name;  ///< prefix of its parameters: "embedding."
  Sequence sequence = Sequence::kTokens;
  int64_t vocab_size = 0;
  EmbeddingBlock* shared = nullptr;  ///< whose token embedding it takes; it must outlive the block
};

/// Token embeddings (times sqrt(hidden_size)), positions, or both in one where they are complex, segments, a
/// norm where there is one, dropout. Puts x before what enters: {} -> {x}, {memory} -> {x, memory}.
///
/// Names: NAME{word, position, segment, norm}; complex NAME{amplitude, frequency, phase} in place of word.
class EmbeddingBlock final : public Block {
 public:
  EmbeddingBlock(const ModelConfig& config, const EmbeddingPlace& place, nn::LayerBuilder& builder);
  void collect(std::vector<Parameter*>& parameters) override;
  void collect_shared(std::vector<Parameter*>& parameters) override;
  void collect_buffers(std::vector<Buffer*>& buffers) override;
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override;
  double products_per_token(int64_t) const override { return 0; }
  BlockKind kind() const override { return BlockKind::kEmbedding; }
  /// Not of complex embeddings, which have no matrix.
  nn::VocabularyEmbedding& word() { return *word_; }

 private:
  Sequence sequence_;
  double scale_;                                   ///< of token embeddings; 1: none
  std::unique_ptr<nn::VocabularyEmbedding> word_;  ///< null with the next
  std::unique_ptr<nn::ComplexEmbedding> complex_;
  std::unique_ptr<nn::PositionEmbedding> position_, segment_;  ///< null without
  std::unique_ptr<nn::Norm> norm_;                             ///< null without
  std::unique_ptr<nn::Dropout> dropout_;
};

/// The two embeddings of an encoder-decoder: `encoder.embedding` and `decoder.embedding`, or with
/// share_source_embedding one `embedding` that both read.
std::unique_ptr<EmbeddingBlock> make_source_embedding(const ModelConfig& config, nn::LayerBuilder& builder);
std::unique_ptr<EmbeddingBlock> make_target_embedding(const ModelConfig& config, EmbeddingBlock& source,
                                                      nn::LayerBuilder& builder);

}  // namespace trireme
