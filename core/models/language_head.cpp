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
  if (config.norm_position == NormPosition::kPre) norm_ = builder.norm(norm_spec(config, norm));
}

void LanguageHead::collect(std::vector<Parameter*>& parameters) {
  if (norm_) norm_->collect(parameters);
  loss_->collect(parameters);
}

void LanguageHead::collect_shared(std::vector<Parameter*>& parameters) {
  loss_->collect_shared(parameters);
}

Variable LanguageHead::normalized(Context& context, const Variable& x) {
  return norm_ ? norm_->forward(context, x) : x;
}

std::vector<Variable> LanguageHead::forward(Context& context, ForwardPass& pass,
                                            const std::vector<Variable>& inputs) {
  return {loss_->loss(context, pass, normalized(context, inputs[0]))};
}

Tensor LanguageHead::logits(Context& context, const Tensor& x) {
  return loss_->logits(context, normalized(context, Variable(x)).value());
}

}  // namespace trireme
