#include <fmt/format.h>

#include "core/autograd/functions/activation.h"
#include "core/autograd/functions/add.h"
#include "core/models/block_model.h"
#include "core/models/embedding_block.h"
#include "core/models/registry.h"
#include "core/models/transformer_layer.h"

namespace trireme {
namespace {

/// What BERT reads from the first token of a sample: tanh(W x + b), then classes.
class PooledHead final : public nn::Module {
 public:
  PooledHead(const ModelConfig& config, const std::string& name, int64_t num_classes,
             nn::LayerBuilder& builder)
      : first_rows_(builder.first_rows()),
        pooler_(builder.linear({"pooler", config.hidden_size, config.hidden_size, matrix_init(config)})),
        loss_(builder.sample_loss({name, num_classes, config.hidden_size, matrix_init(config)})) {}
  void collect(std::vector<Parameter*>& parameters) override {
    pooler_->collect(parameters);
    loss_->collect(parameters);
  }
  Variable loss(Context& context, ForwardPass& pass, const Variable& x) {
    return loss_->loss(context, pass, pooled(context, pass, x));
  }
  Tensor logits(Context& context, const ForwardPass& pass, const Tensor& x) {
    return loss_->logits(context, pooled(context, pass, Variable(x)).value());
  }

 private:
  Variable pooled(Context& context, const ForwardPass& pass, const Variable& x) {
    const Variable first = first_rows_->forward(context, pass, x);
    return activation(context, ops::Activation::kTanh, pooler_->forward(context, first));
  }

  std::unique_ptr<nn::FirstRows> first_rows_;
  std::unique_ptr<nn::Linear> pooler_;
  std::unique_ptr<nn::SampleLoss> loss_;
};

/// SwiGLU needs a gate, which the head has not.
FeedForwardActivation head_activation(FeedForwardActivation of_layers) {
  return of_layers == FeedForwardActivation::kSwiglu ? FeedForwardActivation::kGelu : of_layers;
}

/// Masked-language-model head (tied to the embedding, with a bias) and next-sentence head: {x} -> {scaled
/// loss}.
class PretrainingHead final : public Head {
 public:
  PretrainingHead(const ModelConfig& config, nn::VocabularyEmbedding* tied, nn::LayerBuilder& builder)
      : activation_(head_activation(config.activation)),
        transform_(builder.linear(
            {"head.transform", config.hidden_size, config.hidden_size, matrix_init(config), true})),
        norm_(optional_norm(config, "head.norm", Sequence::kTokens, builder)),
        loss_(builder.vocabulary_loss({.name = "head",
                                       .vocab_size = config.vocab_size,
                                       .features = config.hidden_size,
                                       .init = embedding_init(config),
                                       .tied = tied,
                                       .bias = true,
                                       .smoothing = label_smoothing(config)})),
        matrix_size_(static_cast<double>((config.vocab_size + config.hidden_size) * config.hidden_size)) {
    if (config.next_sentence_head) next_sentence_.emplace(config, "next_sentence", 2, builder);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    transform_->collect(parameters);
    if (norm_) norm_->collect(parameters);
    loss_->collect(parameters);
    if (next_sentence_) next_sentence_->collect(parameters);
  }
  void collect_shared(std::vector<Parameter*>& parameters) override { loss_->collect_shared(parameters); }
  void collect_buffers(std::vector<Buffer*>& buffers) override {
    if (norm_) norm_->collect_buffers(buffers);
  }
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override {
    Variable loss = loss_->loss(context, pass, transformed(context, pass, inputs[0]));
    if (next_sentence_) loss = add(context, loss, next_sentence_->loss(context, pass, inputs[0]));
    return {loss};
  }
  double products_per_token(int64_t) const override { return matrix_size_; }
  Tensor logits(Context& context, ForwardPass& pass, const Tensor& x) override {
    return loss_->logits(context, transformed(context, pass, Variable(x)).value());
  }

 private:
  Variable transformed(Context& context, ForwardPass& pass, const Variable& x) {
    return normalized(context, pass, norm_.get(),
                      feed_forward_activation(context, activation_, transform_->forward(context, x)));
  }

  FeedForwardActivation activation_;
  std::unique_ptr<nn::Linear> transform_;
  std::unique_ptr<nn::Norm> norm_;  ///< null without norms
  std::unique_ptr<nn::VocabularyLoss> loss_;
  std::optional<PooledHead> next_sentence_;
  double matrix_size_;
};

/// Classes of samples or pairs of them, by fine-tuning: {x} -> {scaled loss}.
class ClassificationHead final : public Head {
 public:
  ClassificationHead(const ModelConfig& config, nn::LayerBuilder& builder)
      : head_(config, "classifier", config.num_classes, builder) {}
  void collect(std::vector<Parameter*>& parameters) override { head_.collect(parameters); }
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override {
    return {head_.loss(context, pass, inputs[0])};
  }
  double products_per_token(int64_t) const override { return 0; }
  Tensor logits(Context& context, ForwardPass& pass, const Tensor& x) override {
    return head_.logits(context, pass, x);
  }

 private:
  PooledHead head_;
};

/// BERT (Devlin et al. 2019): an encoder that is trained to fill masked tokens and to tell whether the second
/// sentence follows the first; with num_classes a classifier instead.
///
/// Names: embedding.{word, position, segment, norm}, layers.N.(TransformerLayer), head.{transform, norm,
/// weight, bias}, pooler, next_sentence, classifier.
class Bert final : public BlockModel {
 public:
  Bert(const ModelConfig& config, nn::LayerBuilder& builder) : BlockModel(config, builder) {
    EmbeddingBlock& embedding = add(std::make_unique<EmbeddingBlock>(
        config, EmbeddingPlace{.name = "embedding.", .vocab_size = config.vocab_size}, builder));
    for (int64_t i = 0; i < config.num_layers; ++i)
      add(std::make_unique<TransformerLayer>(
          config, LayerPlace{.name = fmt::format("layers.{}.", i), .index = i}, builder));
    if (config.num_classes > 0)
      add(std::make_unique<ClassificationHead>(config, builder));
    else
      add(std::make_unique<PretrainingHead>(
          config, config.untie_embeddings_and_output_weights ? nullptr : &embedding.word(), builder));
  }

  std::vector<Shape> boundary_shapes(const Batch& batch, size_t) const override {
    return {stream_shape(batch, Sequence::kTokens)};
  }
};

/// BERT base; gelu with the error function, as in the paper (its published code has the tanh form).
ModelConfig defaults() {
  ModelConfig config;
  config.family = "bert";
  config.num_token_types = 2;
  config.norm_position = NormPosition::kPost;
  config.norm_epsilon = 1e-12;
  config.embedding_norm = true;
  config.activation = FeedForwardActivation::kGelu;
  config.hidden_dropout = 0.1;
  config.attention_dropout = 0.1;
  config.init_method = InitMethod::kTruncatedNormal;
  config.scale_init_by_depth = false;
  config.next_sentence_head = true;
  return config;
}

void check(ModelConfig& config, std::vector<std::string>& errors) {
  refuse_encoder(config, errors);
  refuse_recurrent(config, errors);
}

std::unique_ptr<Model> make(const ModelConfig& config, nn::LayerBuilder& builder) {
  return std::make_unique<Bert>(config, builder);
}

SampleNeeds needs(const ModelConfig& config) {
  using enum PositionEmbedding;
  const PositionEmbedding positions = config.position_embedding_type;
  if (config.num_classes > 0)
    return {.objective = Objective::kClassification,
            .vocab_size = config.vocab_size,
            .num_classes = config.num_classes};
  return {.objective = Objective::kMasked,
          .vocab_size = config.vocab_size,
          .reads_order = positions == kRelative || positions == kRelativeXl || positions == kAlibi,
          .next_sentence = config.next_sentence_head};
}

}  // namespace

Family bert_family() {
  return {"bert", false, defaults, check, make, needs};
}

}  // namespace trireme
