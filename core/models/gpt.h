#pragma once

#include "core/models/gpt_config.h"
#include "core/models/model.h"
#include "core/nn/layer_builder.h"

namespace trireme {

/// A decoder-only Transformer with pre-norm layers: GPT-2 (Radford et al. 2019) and Llama (Touvron et al.
/// 2023) by configuration. x <- x + attention(norm(x)); x <- x + mlp(norm(x)); logits = norm(x) W^T.
///
/// Initial values: normal with init_method_std, the two projections of a layer that end in the residual sum
/// divided by sqrt(2 * num_layers) (GPT-2, section 2.3); biases 0, norms 1.
///
/// Names: embedding.word, embedding.position, layers.N.{input_norm, attention.{query,key,value,output},
/// mlp_norm, mlp.{gate,up,down}}, final_norm, head; each with .weight and, where there is one, .bias.
class Gpt final : public Model {
 public:
  /// `config` resolved.
  Gpt(const GptConfig& config, nn::LayerBuilder& builder);

  const std::vector<std::unique_ptr<Block>>& blocks() const override { return blocks_; }
  std::vector<Shape> boundary_shapes(const Batch& batch) const override;
  Variable loss(Context& context, ForwardPass& pass) override;
  Tensor logits(Context& context, ForwardPass& pass, bool last_position_only) override;
  std::vector<Parameter*> parameters() override;
  std::unique_ptr<KeyValueCache> make_cache(Context& context, int64_t num_samples, int64_t capacity) override;
  int64_t num_parameters() const override;
  int64_t num_flop_parameters() const override;

 private:
  GptConfig config_;
  int64_t residual_shards_;
  std::vector<std::unique_ptr<Block>> blocks_;
};

}  // namespace trireme
