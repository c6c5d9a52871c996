#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/models/model_config.h"
#include "core/nn/layer_builder.h"

namespace trireme {

/// Where a layer stands in its model.
struct LayerPlace {
  std::string name;                       ///< prefix of its parameters: "decoder.layers.3."
  int64_t index = 0;                      ///< in the whole model, for recomputation
  int64_t cache_entry = 0;                ///< of the key-value cache
  Sequence sequence = Sequence::kTokens;  ///< that it works on
  bool causal = false;                    ///< a token sees those before it only
  bool reads_source = false;              ///< attends to the encoder's output, too
};

/// What one residual sum of a layer adds: attention, feed-forward. Letters as in core/ops/attention.h.
class LayerPart : public nn::Module {
 public:
  /// x [rows, D] -> [rows, D] before dropout; `memory`: the encoder's output where it is read. x is given
  /// away, so that it can be freed early.
  virtual Variable forward(Context& context, ForwardPass& pass, Variable x, const Variable& memory) = 0;
  /// As Block::products_per_token.
  virtual double products_per_token(int64_t seq_length) const = 0;
};

std::unique_ptr<LayerPart> make_self_attention(const ModelConfig& config, const LayerPlace& place,
                                               nn::LayerBuilder& builder);
/// Queries from x, keys and values from the encoder's output (Vaswani et al. 2017, section 3.2.3).
std::unique_ptr<LayerPart> make_cross_attention(const ModelConfig& config, const LayerPlace& place,
                                                nn::LayerBuilder& builder);
std::unique_ptr<LayerPart> make_feed_forward(const ModelConfig& config, const LayerPlace& place,
                                             nn::LayerBuilder& builder);

Variable feed_forward_activation(Context& context, FeedForwardActivation kind, const Variable& x);

/// What a LayerNorm or RMSNorm of the model's width named `name` is.
nn::NormSpec norm_spec(const ModelConfig& config, const std::string& name);
/// The model's norm of the rows of a sequence; null with normalization none. What it makes of x; x where it
/// is null.
std::unique_ptr<nn::Norm> optional_norm(const ModelConfig& config, const std::string& name, Sequence sequence,
                                        nn::LayerBuilder& builder);
Variable normalized(Context& context, ForwardPass& pass, nn::Norm* norm, const Variable& x);
/// How matrices begin; of what ends in a residual sum.
InitRule matrix_init(const ModelConfig& config);
InitRule residual_init(const ModelConfig& config);
InitRule embedding_init(const ModelConfig& config);
ops::LabelSmoothing label_smoothing(const ModelConfig& config);

}  // namespace trireme
