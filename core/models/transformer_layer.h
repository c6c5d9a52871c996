#pragma once

#include "core/models/layer_parts.h"
#include "core/models/model.h"

namespace trireme {

/// One layer of any Transformer: self-attention, attention to the encoder's output where it reads it,
/// feed-forward, each inside a residual sum: x + dropout(part(norm(x))), or norm(x + dropout(part(x))) with
/// norm_position post; without the sum, or the norm, where they are switched off. {x} -> {x}, or {x, memory}
/// -> {x, memory}. What backward makes again is up to pass.recompute.
///
/// Names: NAME{input_norm | attention_norm, attention.{query,key,value,output}, cross_norm,
/// cross_attention.{query,key,value,output}, mlp_norm, mlp.{gate,up,down}}; the norm of self-attention is
/// `input_norm` where it comes first and `attention_norm` where it comes after.
class TransformerLayer final : public Block {
 public:
  TransformerLayer(const ModelConfig& config, const LayerPlace& place, nn::LayerBuilder& builder);
  void collect(std::vector<Parameter*>& parameters) override;
  void collect_buffers(std::vector<Buffer*>& buffers) override;
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override;
  double products_per_token(int64_t seq_length) const override;
  BlockKind kind() const override { return BlockKind::kLayer; }

 private:
  Variable run(Context& context, ForwardPass& pass, const Variable& x, const Variable& memory);
  Variable run_pre_norm(Context& context, ForwardPass& pass, const Variable& x, const Variable& memory);
  Variable run_post_norm(Context& context, ForwardPass& pass, const Variable& x, const Variable& memory);

  Variable run_switched(Context& context, ForwardPass& pass, const Variable& x, const Variable& memory);

  /// What is around a part where something is switched off, or a norm is not one of rows.
  struct Surroundings {
    std::unique_ptr<nn::Norm> norm;        ///< null without norms
    std::unique_ptr<nn::ResidualAdd> add;  ///< null without residual connections
    std::unique_ptr<nn::Dropout> dropout;  ///< in place of `add`
  };

  int64_t index_;
  bool post_;
  std::vector<std::unique_ptr<LayerPart>> parts_;
  std::unique_ptr<nn::ForkNorm> first_norm_;             ///< pre-norm: before the first part
  std::vector<std::unique_ptr<nn::ResidualNorm>> sums_;  ///< with the norm of what follows; post-norm: of all
  std::unique_ptr<nn::ResidualAdd> last_sum_;            ///< pre-norm
  std::vector<Surroundings> switched_;  ///< of all parts, in place of the three above; else empty
};

}  // namespace trireme
