#pragma once

#include "core/models/model.h"
#include "core/models/model_config.h"
#include "core/nn/layer_builder.h"

namespace trireme {

/// What families of Transformers have in common: blocks one after another, the last a Head.
class BlockModel : public Model {
 public:
  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  Variable loss(Context& context, ForwardPass& pass) override;
  Tensor logits(Context& context, ForwardPass& pass, bool last_position_only) override;
  std::vector<Parameter*> parameters() override;
  std::vector<Buffer*> buffers() override;
  std::unique_ptr<KeyValueCache> make_cache(Context& context, int64_t num_samples, int64_t capacity) override;
  int64_t num_parameters() const override;
  int64_t num_flop_parameters() const override;

 protected:
  BlockModel(const ModelConfig& config, nn::LayerBuilder& builder)
      : config_(config), residual_shards_(builder.residual_shards()) {}
  /// Adds a block and returns it.
  template <class T>
  T& add(std::unique_ptr<T> block) {
    T& added = *block;
    blocks_.push_back(std::move(block));
    return added;
  }
  /// The residual stream of a sequence on this rank.
  Shape stream_shape(const Batch& batch, Sequence sequence) const;
  /// Runs the blocks [begin, end).
  std::vector<Variable> run(Context& context, ForwardPass& pass, size_t begin, size_t end,
                            std::vector<Variable> variables);
  /// What the encoder gives the decoder; with a cache it runs at the first call only.
  std::vector<Variable> encode(Context& context, ForwardPass& pass);
  Head& head() { return static_cast<Head&>(*blocks_.back()); }

  ModelConfig config_;
  size_t decoder_begin_ = 0;  ///< of an encoder-decoder: the block that embeds the target

 private:
  int64_t residual_shards_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

/// The last of every `length` rows.
Tensor last_rows(Context& context, const Tensor& x, int64_t length);

}  // namespace trireme
