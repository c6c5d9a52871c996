#include <fmt/format.h>

#include <algorithm>

#include "core/autograd/functions/activation.h"
#include "core/autograd/functions/add.h"
#include "core/autograd/functions/recompute.h"
#include "core/autograd/functions/rows.h"
#include "core/models/block_model.h"
#include "core/models/embedding_block.h"
#include "core/models/language_head.h"
#include "core/models/registry.h"

namespace trireme {
namespace {

ops::RecurrentKind kind_of(const ModelConfig& config) {
  switch (config.recurrent_cell) {
    case RecurrentCell::kLstm:
      return ops::RecurrentKind::kLstm;
    case RecurrentCell::kGru:
      return ops::RecurrentKind::kGru;
    case RecurrentCell::kRnn:
    case RecurrentCell::kNone:
      break;
  }
  return ops::RecurrentKind::kRnnTanh;
}

/// Who attends: the first decoder layer, or what follows the last one.
bool attends(const ModelConfig& config, AttentionContext context) {
  return config.recurrent_attention != RecurrentAttention::kNone && config.attention_context == context;
}

/// The states on their way from the encoder to the decoder, one Variable each (LSTM: hidden and cell).
/// Decoder layer i begins with the last state of the encoder's layer as far from the top as it is, or of its
/// first.
class States {
 public:
  explicit States(const ModelConfig& config)
      : encoder_layers_(config.encoder_num_layers),
        layers_(config.num_layers),
        size_(config.recurrent_cell == RecurrentCell::kLstm ? 2 : 1) {}
  /// Variables of one state.
  int64_t size() const { return size_; }
  bool kept(int64_t encoder_layer) const { return encoder_layer >= source_of(0); }
  /// Variables made by the encoder's layers before this one.
  int64_t made_before(int64_t encoder_layer) const {
    return size_ * std::max<int64_t>(0, encoder_layer - source_of(0));
  }
  /// Variables that this layer of the decoder and those after it begin with.
  int64_t needed_from(int64_t layer) const {
    return layer == layers_ ? 0 : size_ * (encoder_layers_ - source_of(layer));
  }

 private:
  int64_t source_of(int64_t layer) const { return std::max<int64_t>(0, layer + encoder_layers_ - layers_); }
  int64_t encoder_layers_, layers_, size_;
};

std::unique_ptr<nn::Linear> projection(const ModelConfig& config, const std::string& name, int64_t features,
                                       bool bias, nn::LayerBuilder& builder) {
  return builder.column_linear({.name = name,
                                .outputs = {{name, features}},
                                .in_features = config.hidden_size,
                                .bias = bias && config.add_bias_linear,
                                .init = matrix_init(config)});
}

double square(const ModelConfig& config) {
  return static_cast<double>(config.hidden_size * config.hidden_size);
}

/// One direction of a layer. Names: NAME{input, recurrent}.
class Direction {
 public:
  Direction(const ModelConfig& config, const std::string& name, int64_t hidden_size, bool reverse,
            nn::LayerBuilder& builder)
      : input_(
            projection(config, name + "input", ops::num_gates(kind_of(config)) * hidden_size, true, builder)),
        recurrence_(builder.recurrence({.name = name + "recurrent",
                                        .kind = kind_of(config),
                                        .hidden_size = hidden_size,
                                        .reverse = reverse,
                                        .bias = config.add_bias_linear,
                                        .init = matrix_init(config)})) {}
  void collect_input(std::vector<Parameter*>& parameters) { input_->collect(parameters); }
  void collect_recurrence(std::vector<Parameter*>& parameters) { recurrence_->collect(parameters); }
  Variable project(Context& context, const Variable& x) { return input_->forward(context, x); }
  RecurrentResult run(Context& context, const Variable& projected, const Batch& batch, const Tensor& lengths,
                      const RecurrentVariables& first) {
    return recurrence_->forward(context, projected, batch.num_samples(), lengths, first);
  }

 private:
  std::unique_ptr<nn::Linear> input_;
  std::unique_ptr<nn::Recurrence> recurrence_;
};

/// Attention of states of the decoder to those of the encoder: a product, or w . tanh(W s + U h + b)
/// (Bahdanau et al. 2015, appendix A.1.2). Names: NAME{key, query, score}.
class Attention {
 public:
  Attention(const ModelConfig& config, const std::string& name, nn::LayerBuilder& builder) {
    const bool additive = config.recurrent_attention == RecurrentAttention::kAdditive;
    const int64_t features = config.hidden_size;
    if (additive) {
      key_ = projection(config, name + "key", features, true, builder);
      query_ = projection(config, name + "query", features, false, builder);
    }
    attention_ = builder.state_attention({name + "score", features, additive, matrix_init(config)});
  }
  void collect(std::vector<Parameter*>& parameters) {
    if (key_) key_->collect(parameters);
    if (query_) query_->collect(parameters);
    attention_->collect(parameters);
  }
  /// Once a pass; generation makes them once.
  Variable keys(Context& context, ForwardPass& pass, const Variable& memory) {
    if (!key_) return memory;
    if (pass.cache == nullptr) return key_->forward(context, memory);
    Tensor& kept = pass.cache->source_keys(0);
    if (!kept.defined()) kept = key_->forward(context, memory).value();
    return Variable(kept);
  }
  Variable forward(Context& context, ForwardPass& pass, const Variable& state, const Variable& keys,
                   const Variable& memory) {
    const Variable query = query_ ? query_->forward(context, state) : state;
    return attention_->forward(context, pass, query, keys, memory);
  }

 private:
  std::unique_ptr<nn::Linear> key_, query_;  ///< null for the product
  std::unique_ptr<nn::StateAttention> attention_;
};

/// What layers of both sides share: dropout between layers, a norm of the input, recomputation.
class RecurrentLayer : public Block {
 public:
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override {
    const RecomputeGranularity granularity = pass.recompute.of_layer(index_);
    if (granularity != RecomputeGranularity::kFull || !context.grad_enabled) {
      const RecipeGuard recipes(context, granularity == RecomputeGranularity::kSelective);
      return run(context, pass, inputs);
    }
    std::vector<Parameter*> parameters;
    collect(parameters);
    const auto part = [this, &pass](Context& context, const std::vector<Variable>& inputs) {
      return run(context, pass, inputs);
    };
    return trireme::recompute(context, parameters, part, inputs);
  }
  void collect_buffers(std::vector<Buffer*>& buffers) override {
    if (norm_) norm_->collect_buffers(buffers);
  }
  BlockKind kind() const override { return BlockKind::kLayer; }

 protected:
  /// `first`: no layer is below it.
  RecurrentLayer(const ModelConfig& config, const std::string& name, int64_t index, bool first,
                 Sequence sequence, nn::LayerBuilder& builder)
      : states_(config), index_(index) {
    if (!first) dropout_ = builder.dropout({name + "input", config.hidden_dropout, sequence});
    if (config.recurrent_norm) norm_ = optional_norm(config, name + "input_norm", sequence, builder);
  }
  virtual std::vector<Variable> run(Context& context, ForwardPass& pass,
                                    const std::vector<Variable>& inputs) = 0;
  void collect_norm(std::vector<Parameter*>& parameters) {
    if (norm_) norm_->collect(parameters);
  }
  Variable prepared(Context& context, ForwardPass& pass, Variable x) {
    if (dropout_) x = dropout_->forward(context, pass, x);
    return normalized(context, pass, norm_.get(), x);
  }

  States states_;

 private:
  int64_t index_;  ///< in the whole model
  std::unique_ptr<nn::Dropout> dropout_;
  std::unique_ptr<nn::Norm> norm_;
};

/// {x, states} -> {y, states, its own last state}; y is left out of the last layer's where nobody attends.
/// Names: NAME{input_norm, input, recurrent}, or NAME{forward, backward}.{input, recurrent}.
class EncoderLayer final : public RecurrentLayer {
 public:
  EncoderLayer(const ModelConfig& config, int64_t index, nn::LayerBuilder& builder)
      : RecurrentLayer(config, name_of(index), index, index == 0, Sequence::kSource, builder),
        gives_outputs_(index + 1 < config.encoder_num_layers ||
                       config.recurrent_attention != RecurrentAttention::kNone),
        gives_state_(states_.kept(index)) {
    const std::string name = name_of(index);
    if (config.bidirectional_encoder) {
      directions_.emplace_back(config, name + "forward.", config.hidden_size / 2, false, builder);
      directions_.emplace_back(config, name + "backward.", config.hidden_size / 2, true, builder);
    } else {
      directions_.emplace_back(config, name, config.hidden_size, false, builder);
    }
    products_ = static_cast<double>(ops::num_gates(kind_of(config))) * square(config) *
                (config.bidirectional_encoder ? 1.5 : 2);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    collect_norm(parameters);
    for (Direction& direction : directions_) {
      direction.collect_input(parameters);
      direction.collect_recurrence(parameters);
    }
  }
  double products_per_token(int64_t) const override { return products_; }

 private:
  static std::string name_of(int64_t index) { return fmt::format("encoder.layers.{}.", index); }

  std::vector<Variable> run(Context& context, ForwardPass& pass,
                            const std::vector<Variable>& inputs) override {
    const Variable x = prepared(context, pass, inputs[0]);
    RecurrentResult result = read(context, pass, x, 0);
    if (directions_.size() > 1) {
      const RecurrentResult other = read(context, pass, x, 1);
      result.out = join_columns(context, result.out, other.out);
      result.last.hidden = join_columns(context, result.last.hidden, other.last.hidden);
      if (states_.size() > 1) result.last.cell = join_columns(context, result.last.cell, other.last.cell);
    }
    std::vector<Variable> outputs;
    if (gives_outputs_) outputs.push_back(result.out);
    outputs.insert(outputs.end(), inputs.begin() + 1, inputs.end());
    if (gives_state_) outputs.push_back(result.last.hidden);
    if (gives_state_ && states_.size() > 1) outputs.push_back(result.last.cell);
    return outputs;
  }
  RecurrentResult read(Context& context, ForwardPass& pass, const Variable& x, size_t direction) {
    Direction& one = directions_[direction];
    return one.run(context, one.project(context, x), pass.batch, pass.batch.source_lengths, {});
  }

  bool gives_outputs_, gives_state_;
  double products_ = 0;
  std::vector<Direction> directions_;
};

/// {x, memory, states} -> {y, memory, the states that later layers begin with}; memory is there until nobody
/// attends any more. Names: NAME{input_norm, input, recurrent}; where it attends, attention.{key, query,
/// score, context}.
class DecoderLayer final : public RecurrentLayer {
 public:
  DecoderLayer(const ModelConfig& config, int64_t index, nn::LayerBuilder& builder)
      : RecurrentLayer(config, name_of(index), config.encoder_num_layers + index, index == 0,
                       Sequence::kTokens, builder),
        index_(index),
        passes_memory_(attends(config, AttentionContext::kOutput)),
        direction_(config, name_of(index), config.hidden_size, false, builder),
        width_(static_cast<double>(config.hidden_size)) {
    const int64_t gates = ops::num_gates(kind_of(config)) * config.hidden_size;
    products_ = 2 * width_ * static_cast<double>(gates);
    if (index > 0 || !attends(config, AttentionContext::kInput)) return;
    const std::string name = name_of(index) + "attention.";
    attention_.emplace(config, name, builder);
    context_ = projection(config, name + "context", gates, false, builder);
    products_ += width_ * static_cast<double>(gates);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    collect_norm(parameters);
    direction_.collect_input(parameters);
    if (attention_) attention_->collect(parameters);
    if (context_) context_->collect(parameters);
    direction_.collect_recurrence(parameters);
  }
  double products_per_token(int64_t seq_length) const override {
    return products_ + (attention_ ? 2 * width_ * static_cast<double>(seq_length) : 0);
  }

 private:
  static std::string name_of(int64_t index) { return fmt::format("decoder.layers.{}.", index); }

  std::vector<Variable> run(Context& context, ForwardPass& pass,
                            const std::vector<Variable>& inputs) override {
    const size_t states_begin = passes_memory_ || attention_ ? 2 : 1;
    RecurrentVariables state{inputs[states_begin]};
    if (states_.size() > 1) state.cell = inputs[states_begin + 1];
    if (pass.cache != nullptr && pass.cache->state(index_).hidden.defined()) state = kept_state(*pass.cache);
    const Variable projected = direction_.project(context, prepared(context, pass, inputs[0]));
    const RecurrentResult result = attention_ ? run_attending(context, pass, projected, inputs[1], state)
                                              : direction_.run(context, projected, pass.batch, {}, state);
    if (pass.cache != nullptr) keep_state(*pass.cache, result.last);
    std::vector<Variable> outputs = {result.out};
    if (passes_memory_) outputs.push_back(inputs[1]);
    outputs.insert(outputs.end(), inputs.end() - states_.needed_from(index_ + 1), inputs.end());
    return outputs;
  }

  RecurrentResult run_attending(Context& context, ForwardPass& pass, const Variable& projected,
                                const Variable& memory, const RecurrentVariables& first) {
    const Variable keys = attention_->keys(context, pass, memory);
    RecurrentResult result{{}, first};
    std::vector<Variable> outputs;
    for (const Variable& input : split_steps(context, projected, pass.batch.length())) {
      const Variable seen = attention_->forward(context, pass, result.last.hidden, keys, memory);
      result = direction_.run(context, add(context, input, context_->forward(context, seen)), pass.batch, {},
                              result.last);
      outputs.push_back(result.out);
    }
    result.out = stack_steps(context, outputs);
    return result;
  }

  RecurrentVariables kept_state(KeyValueCache& cache) {
    const KeyValueCache::Entry& entry = cache.state(index_);
    RecurrentVariables state{Variable(entry.hidden)};
    if (entry.cell.defined()) state.cell = Variable(entry.cell);
    return state;
  }
  void keep_state(KeyValueCache& cache, const RecurrentVariables& state) {
    cache.state(index_).hidden = state.hidden.value();
    cache.state(index_).cell = state.cell.value();
  }

  int64_t index_;
  bool passes_memory_;
  Direction direction_;
  std::optional<Attention> attention_;   ///< of the context that joins the input
  std::unique_ptr<nn::Linear> context_;  ///< null without
  double width_, products_ = 0;
};

/// {x, memory} -> {tanh(W x + C context)}: Luong et al. 2015, equation 5. Names: decoder.attention.{key,
/// query, score, output, context}.
class OutputAttention final : public Block {
 public:
  OutputAttention(const ModelConfig& config, nn::LayerBuilder& builder)
      : attention_(config, kName, builder),
        output_(projection(config, kName + std::string("output"), config.hidden_size, true, builder)),
        context_(projection(config, kName + std::string("context"), config.hidden_size, false, builder)),
        width_(static_cast<double>(config.hidden_size)) {}
  void collect(std::vector<Parameter*>& parameters) override {
    attention_.collect(parameters);
    output_->collect(parameters);
    context_->collect(parameters);
  }
  std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                const std::vector<Variable>& inputs) override {
    const Variable keys = attention_.keys(context, pass, inputs[1]);
    const Variable seen = attention_.forward(context, pass, inputs[0], keys, inputs[1]);
    const Variable sum = add(context, output_->forward(context, inputs[0]), context_->forward(context, seen));
    return {activation(context, ops::Activation::kTanh, sum)};
  }
  double products_per_token(int64_t seq_length) const override {
    return 2 * width_ * (width_ + static_cast<double>(seq_length));
  }
  BlockKind kind() const override { return BlockKind::kHead; }

 private:
  static constexpr const char* kName = "decoder.attention.";
  Attention attention_;
  std::unique_ptr<nn::Linear> output_, context_;
  double width_;
};

/// Recurrent encoder and decoder (Sutskever et al. 2014), with attention (Bahdanau et al. 2015, Luong et
/// al. 2015) or without: what the Transformer is compared with. The decoder begins with the encoder's states
/// after each sample's last token.
///
/// Names: encoder.embedding (or `embedding`, shared with the decoder), encoder.layers.N, decoder.embedding,
/// decoder.layers.N, decoder.attention, head.
class Recurrent final : public BlockModel {
 public:
  Recurrent(const ModelConfig& config, nn::LayerBuilder& builder)
      : BlockModel(config, builder), states_(config) {
    EmbeddingBlock& source = add(make_source_embedding(config, builder));
    for (int64_t i = 0; i < config.encoder_num_layers; ++i)
      add(std::make_unique<EncoderLayer>(config, i, builder));
    decoder_begin_ = blocks().size();
    EmbeddingBlock& target = add(make_target_embedding(config, source, builder));
    for (int64_t i = 0; i < config.num_layers; ++i) add(std::make_unique<DecoderLayer>(config, i, builder));
    if (attends(config, AttentionContext::kOutput)) add(std::make_unique<OutputAttention>(config, builder));
    add(std::make_unique<LanguageHead>(config, "decoder.final_norm",
                                       config.untie_embeddings_and_output_weights ? nullptr : &target.word(),
                                       builder));
  }

  std::vector<Shape> boundary_shapes(const Batch& batch, size_t block) const override {
    const auto index = static_cast<int64_t>(block), encoder = static_cast<int64_t>(decoder_begin_);
    const Shape memory = stream_shape(batch, Sequence::kSource);
    if (index < encoder) return with_states(batch, {memory}, states_.made_before(index - 1));
    const bool attends_anywhere = config_.recurrent_attention != RecurrentAttention::kNone;
    std::vector<Shape> shapes;
    if (index > encoder) shapes.push_back(stream_shape(batch, Sequence::kTokens));
    const int64_t layer = std::max<int64_t>(0, index - encoder - 1);  // num_layers: what follows the last
    const int64_t last_reader = attends(config_, AttentionContext::kOutput) ? config_.num_layers : 0;
    if (attends_anywhere && layer <= last_reader) shapes.push_back(memory);
    return with_states(batch, std::move(shapes), states_.needed_from(std::min(layer, config_.num_layers)));
  }

 private:
  std::vector<Shape> with_states(const Batch& batch, std::vector<Shape> shapes, int64_t num_states) const {
    shapes.insert(shapes.end(), static_cast<size_t>(num_states), {batch.num_samples(), config_.hidden_size});
    return shapes;
  }

  States states_;
};

ModelConfig defaults() {
  ModelConfig config;
  config.family = "recurrent";
  config.num_layers = 1;
  config.hidden_size = 512;
  config.num_attention_heads = 1;
  config.position_embedding_type = PositionEmbedding::kNone;
  config.norm_position = NormPosition::kPost;
  config.init_method = InitMethod::kXavierUniform;
  config.init_method_std = 0;  // hidden_size^-0.5
  config.scale_init_by_depth = false;
  config.recurrent_cell = RecurrentCell::kGru;
  return config;
}

void check(ModelConfig& config, std::vector<std::string>& errors) {
  refuse_bert(config, errors);
  complete_encoder(config, errors);
  const auto refuse = [&](bool given, const char* option, const char* reason) {
    if (given)
      errors.push_back(fmt::format("model.{} makes no sense with family recurrent: {}", option, reason));
  };
  const ModelConfig plain = defaults();
  refuse(!config.recurrent(), "recurrent_cell none", "take rnn, lstm or gru");
  constexpr const char* kNoHeads = "its attention has one head as wide as hidden_size; leave it out";
  refuse(config.num_attention_heads != 1, "num_attention_heads", kNoHeads);
  refuse(config.num_query_groups != config.num_attention_heads, "num_query_groups", kNoHeads);
  refuse(config.kv_channels != 0 && config.kv_channels != config.hidden_size, "kv_channels", kNoHeads);
  constexpr const char* kNoFeedForward = "its layers have no feed-forward part; leave it out";
  refuse(config.ffn_hidden_size != 4 * config.hidden_size, "ffn_hidden_size", kNoFeedForward);
  refuse(config.activation != plain.activation, "activation", kNoFeedForward);
  refuse(config.position_embedding_type != PositionEmbedding::kNone, "position_embedding_type",
         "a recurrent layer knows the order of tokens; take none");
  refuse(config.attention_score != plain.attention_score, "attention_score",
         "its attention is recurrent_attention");
  refuse(!config.scale_attention, "scale_attention", "its attention divides nothing");
  refuse(config.share_query_key, "share_query_key", "its attention has no projections to share");
  refuse(!config.feed_forward, "feed_forward", kNoFeedForward);
  refuse(!config.residual_connections, "residual_connections", "it has no residual sums");
  refuse(config.normalization == Normalization::kNone, "normalization none",
         "recurrent_norm says whether there are norms");
  refuse(config.norm_position != NormPosition::kPost, "norm_position",
         "it has no residual sums; recurrent_norm puts norms before its layers");
  refuse(config.attention_dropout != 0, "attention_dropout", "hidden_dropout is the one it has");
  refuse(config.scale_init_by_depth, "scale_init_by_depth", "it has no residual sums");
  refuse(config.attention_context == AttentionContext::kOutput &&
             config.recurrent_attention == RecurrentAttention::kNone,
         "attention_context output", "there is no attention; set recurrent_attention");
  refuse(config.bidirectional_encoder && config.hidden_size % 2 != 0, "bidirectional_encoder",
         "each direction has half of hidden_size, which must be even");
}

std::unique_ptr<Model> make(const ModelConfig& config, nn::LayerBuilder& builder) {
  return std::make_unique<Recurrent>(config, builder);
}

}  // namespace

Family recurrent_family() {
  return {"recurrent", true, defaults, check, make, translation_needs, /*splits_over_tensor_ranks=*/false};
}

}  // namespace trireme
