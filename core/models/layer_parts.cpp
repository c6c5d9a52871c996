#include "core/models/layer_parts.h"

#include <cmath>

#include "core/autograd/functions/activation.h"
#include "core/nn/key_value_cache.h"
#include "core/nn/parameters.h"

namespace trireme {
namespace {

double product(int64_t a, int64_t b) {
  return static_cast<double>(a) * static_cast<double>(b);
}

/// Sizes of heads, side by side.
struct HeadWidths {
  explicit HeadWidths(const ModelConfig& config)
      : query(config.num_attention_heads * config.kv_channels),
        key(config.num_query_groups * config.kv_channels) {}
  int64_t query, key;
};

/// Disagreement is averaged over all attentions of the model.
nn::DisagreementSpec disagreement_spec(const ModelConfig& config) {
  using enum nn::DisagreementSpec::Of;
  const double weight = config.disagreement_coefficient / static_cast<double>(config.num_attentions());
  switch (config.disagreement) {
    case Disagreement::kSubspace:
      return {kSubspaces, weight};
    case Disagreement::kOutput:
      return {kOutputs, weight};
    case Disagreement::kMap:
      return {kMaps, weight};
    case Disagreement::kNone:
      break;
  }
  return {};
}

nn::AttentionSpec attention_spec(const ModelConfig& config, const LayerPlace& place,
                                 const std::string& name) {
  const bool additive = config.attention_score == AttentionScore::kAdditive;
  return {.name = name,
          .layer = place.cache_entry,
          .num_heads = config.num_attention_heads,
          .num_query_groups = config.num_query_groups,
          .head_dim = config.kv_channels,
          .sequence = place.sequence,
          .causal = place.causal,
          .dropout = config.attention_dropout,
          .scaled = config.scale_attention && !additive,
          .score = {.additive = additive, .init = matrix_init(config)},
          .disagreement = disagreement_spec(config)};
}

/// With what only attention inside one sequence has.
nn::AttentionSpec self_attention_spec(const ModelConfig& config, const LayerPlace& place,
                                      const std::string& name) {
  using Positions = nn::ScoreSpec::Positions;
  nn::AttentionSpec spec = attention_spec(config, place, name);
  spec.share_query_key = config.share_query_key;
  switch (config.position_embedding_type) {
    case PositionEmbedding::kRope:
      spec.rotary = ops::RotaryOptions{.theta = config.rotary_base, .interleaved = config.rotary_interleaved};
      break;
    case PositionEmbedding::kRelative:
      spec.score.positions = Positions::kRelative;
      spec.score.max_distance = config.relative_max_distance;
      spec.score.relative_values = config.relative_values;
      break;
    case PositionEmbedding::kRelativeXl:
      spec.score.positions = Positions::kRelativeXl;
      spec.score.sinusoid_width = config.hidden_size;
      break;
    case PositionEmbedding::kAlibi:
      spec.score.positions = Positions::kAlibi;
      break;
    case PositionEmbedding::kLearnedAbsolute:
    case PositionEmbedding::kSinusoidal:
    case PositionEmbedding::kComplex:
    case PositionEmbedding::kNone:
      break;
  }
  return spec;
}

/// Query, key and value side by side, or the one that is both query and key, and value.
std::vector<nn::OutputPiece> projections(const ModelConfig& config, const std::string& name) {
  const HeadWidths widths(config);
  std::vector<nn::OutputPiece> pieces = {{name + ".query", widths.query, config.num_attention_heads}};
  if (!config.share_query_key) pieces.push_back({name + ".key", widths.key, config.num_query_groups});
  pieces.push_back({name + ".value", widths.key, config.num_query_groups});
  return pieces;
}

std::unique_ptr<nn::Linear> output_projection(const ModelConfig& config, const std::string& name,
                                              nn::LayerBuilder& builder) {
  return builder.row_linear({.name = name,
                             .in_features = HeadWidths(config).query,
                             .out_features = config.hidden_size,
                             .bias = config.add_bias_linear,
                             .init = residual_init(config)});
}

class SelfAttentionPart final : public LayerPart {
 public:
  SelfAttentionPart(const ModelConfig& config, const LayerPlace& place, nn::LayerBuilder& builder)
      : widths_(config),
        matrix_size_(
            product(config.hidden_size, 2 * widths_.query + (config.share_query_key ? 1 : 2) * widths_.key)),
        causal_(place.causal) {
    const std::string name = place.name + "attention";
    query_key_value_ = builder.column_linear({.name = name + ".qkv",
                                              .outputs = projections(config, name),
                                              .in_features = config.hidden_size,
                                              .bias = config.add_bias_linear,
                                              .init = matrix_init(config)});
    attention_ = builder.self_attention(self_attention_spec(config, place, name));
    output_ = output_projection(config, name + ".output", builder);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    query_key_value_->collect(parameters);
    attention_->collect(parameters);
    output_->collect(parameters);
  }
  Variable forward(Context& context, ForwardPass& pass, Variable x, const Variable&) override {
    const Variable qkv = query_key_value_->forward(context, x);
    x = Variable();
    return output_->forward(context, attention_->forward(context, pass, qkv));
  }
  double products_per_token(int64_t seq_length) const override {
    return matrix_size_ + product(widths_.query, seq_length) * (causal_ ? 1 : 2);
  }

 private:
  HeadWidths widths_;
  double matrix_size_;
  bool causal_;
  std::unique_ptr<nn::Linear> query_key_value_, output_;
  std::unique_ptr<nn::SelfAttention> attention_;
};

class CrossAttentionPart final : public LayerPart {
 public:
  CrossAttentionPart(const ModelConfig& config, const LayerPlace& place, nn::LayerBuilder& builder)
      : widths_(config),
        matrix_size_(product(config.hidden_size, 2 * widths_.query + 2 * widths_.key)),
        cache_entry_(place.cache_entry) {
    const std::string name = place.name + "cross_attention";
    query_ = builder.column_linear({.name = name + ".query",
                                    .outputs = {{name + ".query", widths_.query, config.num_attention_heads}},
                                    .in_features = config.hidden_size,
                                    .bias = config.add_bias_linear,
                                    .init = matrix_init(config)});
    key_value_ = builder.column_linear({.name = name + ".kv",
                                        .outputs = {{name + ".key", widths_.key, config.num_query_groups},
                                                    {name + ".value", widths_.key, config.num_query_groups}},
                                        .in_features = config.hidden_size,
                                        .bias = config.add_bias_linear,
                                        .init = matrix_init(config)});
    attention_ = builder.cross_attention(attention_spec(config, place, name));
    output_ = output_projection(config, name + ".output", builder);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    query_->collect(parameters);
    key_value_->collect(parameters);
    attention_->collect(parameters);
    output_->collect(parameters);
  }
  Variable forward(Context& context, ForwardPass& pass, Variable x, const Variable& memory) override {
    const Variable query = query_->forward(context, x);
    x = Variable();
    return output_->forward(context,
                            attention_->forward(context, pass, query, keys_of(context, pass, memory)));
  }
  double products_per_token(int64_t seq_length) const override {
    return matrix_size_ + product(widths_.query, 2 * seq_length);
  }

 private:
  /// Generation projects the memory once.
  Variable keys_of(Context& context, ForwardPass& pass, const Variable& memory) {
    if (pass.cache == nullptr) return key_value_->forward(context, memory);
    Tensor& kept = pass.cache->source_keys(cache_entry_);
    if (!kept.defined()) kept = key_value_->forward(context, memory).value();
    return Variable(kept);
  }

  HeadWidths widths_;
  double matrix_size_;
  int64_t cache_entry_;
  std::unique_ptr<nn::Linear> query_, key_value_, output_;
  std::unique_ptr<nn::CrossAttention> attention_;
};

class FeedForwardPart final : public LayerPart {
 public:
  FeedForwardPart(const ModelConfig& config, const LayerPlace& place, nn::LayerBuilder& builder)
      : activation_(config.activation) {
    const std::string name = place.name + "mlp";
    std::vector<nn::OutputPiece> up = {{name + ".up", config.ffn_hidden_size}};
    if (activation_ == FeedForwardActivation::kSwiglu)
      up.insert(up.begin(), {name + ".gate", config.ffn_hidden_size});
    matrix_size_ = product(config.hidden_size, (std::ssize(up) + 1) * config.ffn_hidden_size);
    up_ = builder.column_linear({.name = up.size() == 1 ? name + ".up" : name + ".gate_up",
                                 .outputs = up,
                                 .in_features = config.hidden_size,
                                 .bias = config.add_bias_linear,
                                 .init = matrix_init(config)});
    down_ = builder.row_linear({.name = name + ".down",
                                .in_features = config.ffn_hidden_size,
                                .out_features = config.hidden_size,
                                .bias = config.add_bias_linear,
                                .init = residual_init(config)});
  }
  void collect(std::vector<Parameter*>& parameters) override {
    up_->collect(parameters);
    down_->collect(parameters);
  }
  Variable forward(Context& context, ForwardPass&, Variable x, const Variable&) override {
    const Variable up = up_->forward(context, x);
    x = Variable();
    return down_->forward(context, feed_forward_activation(context, activation_, up));
  }
  double products_per_token(int64_t) const override { return matrix_size_; }

 private:
  FeedForwardActivation activation_;
  double matrix_size_ = 0;
  std::unique_ptr<nn::Linear> up_, down_;
};

}  // namespace

std::unique_ptr<LayerPart> make_self_attention(const ModelConfig& config, const LayerPlace& place,
                                               nn::LayerBuilder& builder) {
  return std::make_unique<SelfAttentionPart>(config, place, builder);
}

std::unique_ptr<LayerPart> make_cross_attention(const ModelConfig& config, const LayerPlace& place,
                                                nn::LayerBuilder& builder) {
  return std::make_unique<CrossAttentionPart>(config, place, builder);
}

std::unique_ptr<LayerPart> make_feed_forward(const ModelConfig& config, const LayerPlace& place,
                                             nn::LayerBuilder& builder) {
  return std::make_unique<FeedForwardPart>(config, place, builder);
}

Variable feed_forward_activation(Context& context, FeedForwardActivation kind, const Variable& x) {
  switch (kind) {
    case FeedForwardActivation::kSwiglu:
      return swiglu(context, x);
    case FeedForwardActivation::kGelu:
      return activation(context, ops::Activation::kGeluErf, x);
    case FeedForwardActivation::kRelu:
      return activation(context, ops::Activation::kRelu, x);
    case FeedForwardActivation::kSigmoid:
      return activation(context, ops::Activation::kSigmoid, x);
    case FeedForwardActivation::kTanh:
      return activation(context, ops::Activation::kTanh, x);
    case FeedForwardActivation::kGeluTanh:
      break;
  }
  return activation(context, ops::Activation::kGeluTanh, x);
}

nn::NormSpec norm_spec(const ModelConfig& config, const std::string& name) {
  const bool layer_norm = config.normalization == Normalization::kLayerNorm;
  return {.name = name,
          .kind = layer_norm ? NormKind::kLayerNorm : NormKind::kRmsNorm,
          .features = config.hidden_size,
          .eps = config.norm_epsilon,
          .bias = layer_norm && config.add_norm_bias};
}

std::unique_ptr<nn::Norm> optional_norm(const ModelConfig& config, const std::string& name, Sequence sequence,
                                        nn::LayerBuilder& builder) {
  if (config.normalization == Normalization::kNone) return nullptr;
  if (config.normalization != Normalization::kBatchNorm) return builder.norm(norm_spec(config, name));
  return builder.batch_norm({.name = name,
                             .features = config.hidden_size,
                             .eps = config.norm_epsilon,
                             .momentum = config.batch_norm_momentum,
                             .sequence = sequence,
                             .count_padding = config.batch_norm_padding});
}

Variable normalized(Context& context, ForwardPass& pass, nn::Norm* norm, const Variable& x) {
  return norm == nullptr ? x : norm->forward(context, pass, x);
}

InitRule matrix_init(const ModelConfig& config) {
  switch (config.init_method) {
    case InitMethod::kTruncatedNormal:
      return nn::truncated_normal(config.init_method_std);
    case InitMethod::kXavierUniform:
      return nn::xavier_uniform();
    case InitMethod::kNormal:
      break;
  }
  return nn::normal(config.init_method_std);
}

InitRule residual_init(const ModelConfig& config) {
  InitRule rule = matrix_init(config);
  if (config.scale_init_by_depth && config.init_method != InitMethod::kXavierUniform)
    rule.scale /= std::sqrt(2.0 * static_cast<double>(config.num_layers));
  return rule;
}

InitRule embedding_init(const ModelConfig& config) {
  return config.init_method == InitMethod::kXavierUniform ? nn::normal(config.init_method_std)
                                                          : matrix_init(config);
}

ops::LabelSmoothing label_smoothing(const ModelConfig& config) {
  return {config.label_smoothing_form, config.label_smoothing};
}

}  // namespace trireme
