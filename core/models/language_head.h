#pragma once

#include "core/models/layer_parts.h"
#include "core/models/model.h"

namespace trireme {

/// The end of a language model: a last norm (with norm_position pre), the projection onto the vocabulary and
/// its loss: {x, ...} -> {scaled loss}. What enters beside x is not read.
///
/// Names: NORM, head; the head has no matrix of its own where it is tied.
class LanguageHead final : public Head {
 public:
  /// `norm`: the name of the last norm. `tied`: the embedding whose matrix the head shares, or null.
  LanguageHead(const ModelConfig& config, const std::string& norm, nn::VocabularyEmbedding* tied,
               nn::LayerBuilder& builder);
  void collect(std::vector<Parameter*>& parameters) override;
  void collect_shared(std::vector<Parameter*>& parameters) override;
  void collect_buffers(std::vector<Buffer*>& buffers) override;
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override;
  double products_per_token(int64_t) const override { return matrix_size_; }
  Tensor logits(Context& context, ForwardPass& pass, const Tensor& x) override;

 private:
  std::unique_ptr<nn::Norm> norm_;  ///< null with norm_position post, and without norms
  std::unique_ptr<nn::VocabularyLoss> loss_;
  double matrix_size_;
};

}  // namespace trireme
