#include "core/models/gpt_blocks.h"

#include <fmt/format.h>

#include <cmath>

#include "core/autograd/functions/activation.h"
#include "core/autograd/functions/recompute.h"

namespace trireme {
namespace {

nn::NormSpec norm_spec(const GptConfig& config, const std::string& name) {
  const bool layer_norm = config.normalization == Normalization::kLayerNorm;
  return {.name = name,
          .kind = layer_norm ? NormKind::kLayerNorm : NormKind::kRmsNorm,
          .features = config.hidden_size,
          .eps = config.norm_epsilon,
          .bias = layer_norm && config.add_norm_bias};
}

Variable feed_forward_activation(Context& context, FeedForwardActivation kind, const Variable& x) {
  switch (kind) {
    case FeedForwardActivation::kSwiglu:
      return swiglu(context, x);
    case FeedForwardActivation::kGelu:
      return activation(context, ops::Activation::kGeluErf, x);
    case FeedForwardActivation::kRelu:
      return activation(context, ops::Activation::kRelu, x);
    case FeedForwardActivation::kGeluTanh:
      break;
  }
  return activation(context, ops::Activation::kGeluTanh, x);
}

}  // namespace

GptEmbeddingBlock::GptEmbeddingBlock(const GptConfig& config, nn::LayerBuilder& builder)
    : word_(builder.vocabulary_embedding(
          {"embedding.word", config.vocab_size, config.hidden_size, config.init_method_std})),
      dropout_(builder.dropout({"embedding", config.hidden_dropout})) {
  if (config.position_embedding_type == PositionEmbedding::kLearnedAbsolute)
    position_ = builder.position_embedding(
        {"embedding.position", config.max_position_embeddings, config.hidden_size, config.init_method_std});
}

void GptEmbeddingBlock::collect(std::vector<Parameter*>& parameters) {
  word_->collect(parameters);
  if (position_) position_->collect(parameters);
}

std::vector<Variable> GptEmbeddingBlock::forward(Context& context, ForwardPass& pass,
                                                 const std::vector<Variable>&) {
  Variable x = word_->forward(context, pass.batch.tokens);
  if (position_) x = position_->forward(context, x, pass.batch.positions);
  return {dropout_->forward(context, pass, x)};
}

GptLayerBlock::GptLayerBlock(const GptConfig& config, int64_t index, nn::LayerBuilder& builder)
    : index_(index), activation_(config.activation) {
  const std::string name = fmt::format("layers.{}.", index);
  const int64_t query_features = config.num_attention_heads * config.kv_channels;
  const int64_t key_features = config.num_query_groups * config.kv_channels;
  const double residual_std =
      config.init_method_std / std::sqrt(2.0 * static_cast<double>(config.num_layers));
  const bool bias = config.add_bias_linear;

  input_norm_ = builder.fork_norm(norm_spec(config, name + "input_norm"));
  query_key_value_ = builder.column_linear(
      {.name = name + "attention.qkv",
       .outputs = {{name + "attention.query", query_features, config.num_attention_heads},
                   {name + "attention.key", key_features, config.num_query_groups},
                   {name + "attention.value", key_features, config.num_query_groups}},
       .in_features = config.hidden_size,
       .bias = bias,
       .init_std = config.init_method_std});
  nn::AttentionSpec attention = {.name = name + "attention",
                                 .layer = index,
                                 .num_heads = config.num_attention_heads,
                                 .num_query_groups = config.num_query_groups,
                                 .head_dim = config.kv_channels,
                                 .dropout = config.attention_dropout};
  if (config.position_embedding_type == PositionEmbedding::kRope)
    attention.rotary =
        ops::RotaryOptions{.theta = config.rotary_base, .interleaved = config.rotary_interleaved};
  attention_ = builder.self_attention(attention);
  attention_output_ = builder.row_linear({.name = name + "attention.output",
                                          .in_features = query_features,
                                          .out_features = config.hidden_size,
                                          .bias = bias,
                                          .init_std = residual_std});
  mlp_norm_ = builder.residual_norm(norm_spec(config, name + "mlp_norm"),
                                    {name + "attention.output", config.hidden_dropout});
  std::vector<nn::OutputPiece> up = {{name + "mlp.up", config.ffn_hidden_size}};
  if (config.activation == FeedForwardActivation::kSwiglu)
    up.insert(up.begin(), {name + "mlp.gate", config.ffn_hidden_size});
  up_ = builder.column_linear({.name = up.size() == 1 ? name + "mlp.up" : name + "mlp.gate_up",
                               .outputs = up,
                               .in_features = config.hidden_size,
                               .bias = bias,
                               .init_std = config.init_method_std});
  down_ = builder.row_linear({.name = name + "mlp.down",
                              .in_features = config.ffn_hidden_size,
                              .out_features = config.hidden_size,
                              .bias = bias,
                              .init_std = residual_std});
  residual_ = builder.residual_add({name + "mlp.down", config.hidden_dropout});

  attention_width_ = static_cast<double>(query_features);
  matrix_size_ = static_cast<double>(config.hidden_size *
                                     (2 * query_features + 2 * key_features +
                                      (static_cast<int64_t>(up.size()) + 1) * config.ffn_hidden_size));
}

double GptLayerBlock::products_per_token(int64_t seq_length) const {
  return matrix_size_ + attention_width_ * static_cast<double>(seq_length);
}

void GptLayerBlock::collect(std::vector<Parameter*>& parameters) {
  input_norm_->collect(parameters);
  query_key_value_->collect(parameters);
  attention_->collect(parameters);
  attention_output_->collect(parameters);
  mlp_norm_->collect(parameters);
  up_->collect(parameters);
  down_->collect(parameters);
  residual_->collect(parameters);
}

std::vector<Variable> GptLayerBlock::forward(Context& context, ForwardPass& pass,
                                             const std::vector<Variable>& inputs) {
  const RecomputeGranularity granularity = pass.recompute.of_layer(index_);
  if (granularity != RecomputeGranularity::kFull || !context.grad_enabled) {
    const RecipeGuard recipes(context, granularity == RecomputeGranularity::kSelective);
    return {run(context, pass, inputs[0])};
  }
  std::vector<Parameter*> parameters;
  collect(parameters);
  return trireme::recompute(
      context, parameters,
      [this, &pass](Context& context, const std::vector<Variable>& inputs) -> std::vector<Variable> {
        return {run(context, pass, inputs[0])};
      },
      inputs);
}

Variable GptLayerBlock::run(Context& context, ForwardPass& pass, const Variable& x) {
  ResidualNormOutput stream = input_norm_->forward(context, x);
  Variable qkv = query_key_value_->forward(context, stream.normalized);
  stream.normalized = Variable();
  Variable branch = attention_output_->forward(context, attention_->forward(context, pass, qkv));
  qkv = Variable();
  stream = mlp_norm_->forward(context, pass, branch, stream.sum);
  Variable up = up_->forward(context, stream.normalized);
  stream.normalized = Variable();
  branch = down_->forward(context, feed_forward_activation(context, activation_, up));
  up = Variable();
  return residual_->forward(context, pass, branch, stream.sum);
}

GptHeadBlock::GptHeadBlock(const GptConfig& config, nn::LayerBuilder& builder, nn::VocabularyEmbedding* tied)
    : final_norm_(builder.norm(norm_spec(config, "final_norm"))),
      loss_(builder.vocabulary_loss(
          {"head", config.vocab_size, config.hidden_size, config.init_method_std, tied})),
      matrix_size_(static_cast<double>(config.vocab_size * config.hidden_size)) {}

void GptHeadBlock::collect(std::vector<Parameter*>& parameters) {
  final_norm_->collect(parameters);
  loss_->collect(parameters);
}

void GptHeadBlock::collect_shared(std::vector<Parameter*>& parameters) {
  loss_->collect_shared(parameters);
}

std::vector<Variable> GptHeadBlock::forward(Context& context, ForwardPass& pass,
                                            const std::vector<Variable>& inputs) {
  return {loss_->loss(context, pass, final_norm_->forward(context, inputs[0]))};
}

Tensor GptHeadBlock::logits(Context& context, const Tensor& x) {
  return loss_->logits(context, final_norm_->forward(context, Variable(x)).value());
}

}  // namespace trireme
