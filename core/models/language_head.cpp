#include "core/models/language_head.h"

namespace trireme {

LanguageHead::LanguageHead(const ModelConfig& config, const std::string& norm, nn::VocabularyEmbedding* tied,
                           nn::LayerBuilder& builder)
    : loss_(builder.vocabulary_loss({.name = "head",
                                     .vocab_size = config.vocab_size,
                                     .features = config.hidden_size,
                                     .init = embedding_init(config),
                                     .tied = tied,
                                     .smoothing = label_smoothing(config)})),
      matrix_size_(static_cast<double>(config.vocab_size * config.hidden_size)) {
  if (config.norm_position == NormPosition::kPre)
    norm_ = optional_norm(config, norm, Sequence::kTokens, builder);
}

void LanguageHead::collect(std::vector<Parameter*>& parameters) {
  if (norm_) norm_->collect(parameters);
  loss_->collect(parameters);
}

void LanguageHead::collect_shared(std::vector<Parameter*>& parameters) {
  loss_->collect_shared(parameters);
}

void LanguageHead::collect_buffers(std::vector<Buffer*>& buffers) {
  if (norm_) norm_->collect_buffers(buffers);
}

std::vector<Variable> LanguageHead::forward(Context& context, ForwardPass& pass,
                                            const std::vector<Variable>& inputs) {
  return {loss_->loss(context, pass, normalized(context, pass, norm_.get(), inputs[0]))};
}

Tensor LanguageHead::logits(Context& context, ForwardPass& pass, const Tensor& x) {
  return loss_->logits(context, normalized(context, pass, norm_.get(), Variable(x)).value());
}

}  // namespace trireme
