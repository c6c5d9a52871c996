#include "parallel/tensor_parallel/tensor_layer_builder.h"

#include "core/autograd/functions/embedding.h"
#include "core/autograd/functions/rows.h"
#include "core/base/error.h"
#include "core/nn/parameters.h"
#include "core/nn/plain_attention.h"
#include "core/ops/elementwise.h"
#include "core/ops/gemm.h"
#include "parallel/functions/shared_first_rows.h"
#include "parallel/functions/sum_rows.h"
#include "parallel/tensor_parallel/linear_functions.h"
#include "parallel/tensor_parallel/split.h"
#include "parallel/tensor_parallel/vocabulary_cross_entropy.h"

namespace trireme {
namespace {

/// The features of an output that this rank holds.
Part part_of(const nn::OutputPiece& piece, const RowExchange& exchange) {
  if (piece.num_heads == 0) return even_part(piece.name, piece.features, exchange.rank(), exchange.size());
  const int64_t head_dim = piece.features / piece.num_heads;
  const Part heads = heads_part(piece.num_heads, exchange.rank(), exchange.size());
  return {heads.begin * head_dim, heads.length * head_dim, heads.copies};
}

class TensorColumnLinear final : public nn::Linear {
 public:
  TensorColumnLinear(const nn::ColumnLinearSpec& spec, RowExchange& exchange) : exchange_(exchange) {
    std::vector<SplitPiece> weights, biases;
    for (const nn::OutputPiece& piece : spec.outputs) {
      const Part part = part_of(piece, exchange);
      weights.push_back({piece.name + ".weight", {piece.features, spec.in_features}, part});
      biases.push_back({piece.name + ".bias", {piece.features}, part});
    }
    weight_ = split_parameter(spec.name + ".weight", weights, 0, spec.init, true);
    if (spec.bias) bias_ = split_parameter(spec.name + ".bias", biases, 0, nn::zeros(), false);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    parameters.push_back(&weight_);
    if (bias_) parameters.push_back(&*bias_);
  }
  Variable forward(Context& context, const Variable& x) override {
    return column_linear(context, exchange_, x, weight_, bias_ ? &*bias_ : nullptr);
  }

 private:
  RowExchange& exchange_;
  Parameter weight_;
  std::optional<Parameter> bias_;
};

class TensorRowLinear final : public nn::Linear {
 public:
  TensorRowLinear(const nn::RowLinearSpec& spec, RowExchange& exchange)
      : exchange_(exchange),
        weight_(split_parameter(spec.name + ".weight",
                                {{spec.name + ".weight",
                                  {spec.out_features, spec.in_features},
                                  even_part(spec.name, spec.in_features, exchange.rank(), exchange.size())}},
                                1, spec.init, true)) {
    if (!spec.bias) return;
    bias_ = nn::whole_parameter(spec.name + ".bias", {spec.out_features}, nn::zeros(), false);
    place_replicated(*bias_, exchange.shard());
  }
  void collect(std::vector<Parameter*>& parameters) override {
    parameters.push_back(&weight_);
    if (bias_) parameters.push_back(&*bias_);
  }
  Variable forward(Context& context, const Variable& x) override {
    return row_linear(context, exchange_, x, weight_, bias_ ? &*bias_ : nullptr);
  }

 private:
  RowExchange& exchange_;
  Parameter weight_;
  std::optional<Parameter> bias_;
};

/// This rank's rows of a vocabulary matrix [V, D].
struct VocabularyShard {
  VocabularyShard(const std::string& name, int64_t vocab_size, int64_t features, const InitRule& init,
                  const RowExchange& exchange)
      : part(even_part(name, vocab_size, exchange.rank(), exchange.size())),
        weight(split_parameter(name + ".weight", {{name + ".weight", {vocab_size, features}, part}}, 0, init,
                               true)) {}
  Part part;
  Parameter weight;
};

class TensorVocabularyEmbedding final : public nn::VocabularyEmbedding {
 public:
  TensorVocabularyEmbedding(const nn::EmbeddingSpec& spec, RowExchange& exchange)
      : exchange_(exchange), shared_(spec.shared), vocab_size_(spec.num_rows) {
    if (shared_ == nullptr) own_.emplace(spec.name, spec.num_rows, spec.features, spec.init, exchange);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    if (own_) parameters.push_back(&own_->weight);
  }
  void collect_shared(std::vector<Parameter*>& parameters) override {
    if (shared_ != nullptr) parameters.push_back(&shared_->weight());
  }
  Variable forward(Context& context, const Tensor& tokens) override {
    const ops::TableRange range{weight().pieces[0].offset[0], vocab_size_};
    return sum_rows(context, exchange_, embedding(context, weight(), tokens, range));
  }
  Parameter& weight() override { return shared_ != nullptr ? shared_->weight() : own_->weight; }

 private:
  RowExchange& exchange_;
  nn::VocabularyEmbedding* shared_;
  int64_t vocab_size_;
  std::optional<VocabularyShard> own_;
};

/// The plain one with this rank's rows of each table.
class TensorComplexEmbedding final : public nn::ComplexEmbedding {
 public:
  TensorComplexEmbedding(const nn::ComplexEmbeddingSpec& spec, std::unique_ptr<nn::ComplexEmbedding> plain,
                         RowExchange& exchange)
      : exchange_(exchange), vocab_size_(spec.num_rows), plain_(std::move(plain)) {
    const Part part = even_part(spec.name + "amplitude", vocab_size_, exchange.rank(), exchange.size());
    std::vector<Parameter*> own;
    plain_->collect(own);
    for (Parameter* table : own)
      *table = split_parameter(table->name, {{table->name, table->shape, part}}, 0, table->init,
                               table->weight_decay);
  }
  void collect(std::vector<Parameter*>& parameters) override { plain_->collect(parameters); }
  void collect_shared(std::vector<Parameter*>& parameters) override { plain_->collect_shared(parameters); }
  Variable forward(Context& context, const Tensor& tokens, const Tensor& positions) override {
    const ops::TableRange range{tables().amplitude.pieces[0].offset[0], vocab_size_};
    return sum_rows(context, exchange_,
                    trireme::complex_embedding(context, tables(), tokens, positions, range));
  }
  ComplexTables tables() override { return plain_->tables(); }

 private:
  RowExchange& exchange_;
  int64_t vocab_size_;
  std::unique_ptr<nn::ComplexEmbedding> plain_;
};

class TensorVocabularyLoss final : public nn::VocabularyLoss {
 public:
  TensorVocabularyLoss(const nn::VocabularyLossSpec& spec, RowExchange& exchange)
      : exchange_(exchange), tied_(spec.tied), vocab_size_(spec.vocab_size), smoothing_(spec.smoothing) {
    if (tied_ == nullptr) own_.emplace(spec.name, spec.vocab_size, spec.features, spec.init, exchange);
    if (!spec.bias) return;
    const Part part = even_part(spec.name, spec.vocab_size, exchange.rank(), exchange.size());
    bias_ = split_parameter(spec.name + ".bias", {{spec.name + ".bias", {spec.vocab_size}, part}}, 0,
                            nn::zeros(), false);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    if (own_) parameters.push_back(&own_->weight);
    if (bias_) parameters.push_back(&*bias_);
  }
  void collect_shared(std::vector<Parameter*>& parameters) override {
    if (tied_ != nullptr) parameters.push_back(&tied_->weight());
  }
  Variable loss(Context& context, ForwardPass& pass, const Variable& hidden) override {
    TokenLossOptions options{.bias = bias_ ? &*bias_ : nullptr};
    if (context.training) options.smoothing = smoothing_;
    TokenLoss loss =
        vocabulary_cross_entropy(context, exchange_, hidden, weight(), begin(), vocab_size_,
                                 pass.batch.targets, pass.loss_scale[LossTerm::kTokens], options);
    pass.losses[LossTerm::kTokens] = {loss.sum, loss.count, loss.right};
    return std::move(loss.scaled);
  }
  /// Zeros beside this rank's columns, added up.
  Tensor logits(Context& context, const Tensor& hidden) override {
    if (exchange_.shard().count > 1)
      throw ConfigError("logits need all rows of the hidden states; generate without sequence_parallel");
    Tensor term = exchange_.term(context, hidden.rows(), vocab_size_, hidden.dtype());
    ops::fill(context, term, 0.0);
    Tensor columns = term.slice(-1, begin(), weight().shape[0]);
    ops::gemm(context, hidden, weight().value, columns,
              {.transpose_b = true, .bias = bias_ ? &bias_->value : nullptr});
    return exchange_.sum(context, term, hidden.dtype());
  }

 private:
  Parameter& weight() { return tied_ != nullptr ? tied_->weight() : own_->weight; }
  int64_t begin() { return weight().pieces[0].offset[0]; }

  RowExchange& exchange_;
  nn::VocabularyEmbedding* tied_;
  int64_t vocab_size_;
  ops::LabelSmoothing smoothing_;
  std::optional<VocabularyShard> own_;
  std::optional<Parameter> bias_;
};

/// With row shards, each rank's first rows beside zeros, added up.
class TensorFirstRows final : public nn::FirstRows {
 public:
  explicit TensorFirstRows(Communicator& group, const nn::RowShard& shard)
      : exchange_(group, false), shard_(shard) {}
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, const ForwardPass& pass, const Variable& x) override {
    const int64_t length = pass.batch.length();
    if (shard_.count == 1) return every_nth_row(context, x, length);
    return shared_first_rows(context, exchange_, x, shard_, length);
  }

 private:
  RowExchange exchange_;
  nn::RowShard shard_;
};

/// The layer with every parameter replicated on the tensor axis.
template <class Layer>
std::unique_ptr<Layer> replicated(std::unique_ptr<Layer> layer, const nn::RowShard& shard) {
  std::vector<Parameter*> parameters;
  layer->collect(parameters);
  for (Parameter* parameter : parameters) place_replicated(*parameter, shard);
  return layer;
}

/// Rows that are divided over the group add up there first.
SumOverRanks sum_over_rows(Communicator& group, const nn::RowShard& shard, SumOverRanks sum_over_data) {
  if (shard.count == 1) return sum_over_data;
  return [&group, sum_over_data = std::move(sum_over_data)](Tensor& sums) {
    group.all_reduce(sums, ReduceOp::kSum);
    if (sum_over_data) sum_over_data(sums);
  };
}

/// Each step needs the whole state of the one before.
[[noreturn]] void refuse_split(const std::string& name) {
  throw ConfigError(name + ": recurrent layers are not split; use parallel.tensor_model_parallel_size 1");
}

}  // namespace

TensorLayerBuilder::TensorLayerBuilder(Communicator& group, bool sequence_parallel,
                                       SumOverRanks sum_over_data)
    : exchange_(group, sequence_parallel),
      plain_(exchange_.shard(), sum_over_rows(group, exchange_.shard(), std::move(sum_over_data))) {}

std::unique_ptr<nn::Linear> TensorLayerBuilder::column_linear(const nn::ColumnLinearSpec& spec) {
  return std::make_unique<TensorColumnLinear>(spec, exchange_);
}

std::unique_ptr<nn::Linear> TensorLayerBuilder::row_linear(const nn::RowLinearSpec& spec) {
  return std::make_unique<TensorRowLinear>(spec, exchange_);
}

std::unique_ptr<nn::Linear> TensorLayerBuilder::linear(const nn::LinearSpec& spec) {
  return replicated(plain_.linear(spec), spec.on_stream ? exchange_.shard() : nn::RowShard());
}

std::unique_ptr<nn::FirstRows> TensorLayerBuilder::first_rows() {
  return std::make_unique<TensorFirstRows>(exchange_.group(), exchange_.shard());
}

std::unique_ptr<nn::SampleLoss> TensorLayerBuilder::sample_loss(const nn::SampleLossSpec& spec) {
  return replicated(plain_.sample_loss(spec), nn::RowShard());
}

std::unique_ptr<nn::VocabularyEmbedding> TensorLayerBuilder::vocabulary_embedding(
    const nn::EmbeddingSpec& spec) {
  return std::make_unique<TensorVocabularyEmbedding>(spec, exchange_);
}

std::unique_ptr<nn::ComplexEmbedding> TensorLayerBuilder::complex_embedding(
    const nn::ComplexEmbeddingSpec& spec) {
  return std::make_unique<TensorComplexEmbedding>(spec, plain_.complex_embedding(spec), exchange_);
}

std::unique_ptr<nn::PositionEmbedding> TensorLayerBuilder::position_embedding(const nn::EmbeddingSpec& spec) {
  return replicated(plain_.position_embedding(spec), exchange_.shard());
}

std::unique_ptr<nn::PositionEmbedding> TensorLayerBuilder::sinusoidal_positions(
    const nn::SinusoidSpec& spec) {
  return plain_.sinusoidal_positions(spec);
}

std::unique_ptr<nn::Dropout> TensorLayerBuilder::dropout(const nn::DropoutSpec& spec) {
  return plain_.dropout(spec);
}

std::unique_ptr<nn::Norm> TensorLayerBuilder::norm(const nn::NormSpec& spec) {
  return replicated(plain_.norm(spec), exchange_.shard());
}

std::unique_ptr<nn::Norm> TensorLayerBuilder::batch_norm(const nn::BatchNormSpec& spec) {
  return replicated(plain_.batch_norm(spec), exchange_.shard());
}

std::unique_ptr<nn::ForkNorm> TensorLayerBuilder::fork_norm(const nn::NormSpec& spec) {
  return replicated(plain_.fork_norm(spec), exchange_.shard());
}

std::unique_ptr<nn::ResidualNorm> TensorLayerBuilder::residual_norm(const nn::NormSpec& spec,
                                                                    const nn::DropoutSpec& dropout) {
  return replicated(plain_.residual_norm(spec, dropout), exchange_.shard());
}

std::unique_ptr<nn::ResidualAdd> TensorLayerBuilder::residual_add(const nn::DropoutSpec& dropout) {
  return plain_.residual_add(dropout);
}

nn::AttentionSpec TensorLayerBuilder::local(const nn::AttentionSpec& spec) const {
  check_heads(spec.num_heads, spec.num_query_groups, exchange_.size());
  nn::AttentionSpec local = spec;
  local.num_heads = heads_part(spec.num_heads, exchange_.rank(), exchange_.size()).length;
  local.num_query_groups = heads_part(spec.num_query_groups, exchange_.rank(), exchange_.size()).length;
  return local;
}

nn::ScoreTables TensorLayerBuilder::local_tables(const nn::AttentionSpec& spec) const {
  nn::ScoreTables tables(spec);
  const Part heads = heads_part(spec.num_heads, exchange_.rank(), exchange_.size());
  for (Parameter* parameter : tables.shared_by_heads()) place_shared_by_heads(*parameter);
  for (Parameter* parameter : tables.of_each_head()) {
    const int64_t rows = parameter->shape[0] / spec.num_heads;
    *parameter = split_parameter(
        parameter->name,
        {{parameter->name, parameter->shape, {heads.begin * rows, heads.length * rows, heads.copies}}}, 0,
        parameter->init, parameter->weight_decay);
  }
  tables.keep_slopes(heads.begin, heads.length);
  return tables;
}

/// The sums of the ranks' heads are added up, so each has the term of all.
nn::DisagreementTerm TensorLayerBuilder::local_term(const nn::AttentionSpec& spec) {
  const auto divided = [&](int64_t num_heads) {
    return HeadsOfAllRanks{
        num_heads, heads_part(num_heads, exchange_.rank(), exchange_.size()).copies,
        [&group = exchange_.group()](const Tensor& sums) { group.all_reduce(sums, ReduceOp::kSum); }};
  };
  return {local(spec), divided(spec.num_heads), divided(spec.num_query_groups)};
}

int64_t TensorLayerBuilder::first_head(const nn::AttentionSpec& spec) const {
  return heads_part(spec.num_heads, exchange_.rank(), exchange_.size()).begin;
}

std::unique_ptr<nn::SelfAttention> TensorLayerBuilder::self_attention(const nn::AttentionSpec& spec) {
  return std::make_unique<nn::PlainAttention>(local(spec), local_tables(spec), local_term(spec),
                                              first_head(spec));
}

std::unique_ptr<nn::CrossAttention> TensorLayerBuilder::cross_attention(const nn::AttentionSpec& spec) {
  return std::make_unique<nn::PlainCrossAttention>(local(spec), local_tables(spec), local_term(spec),
                                                   first_head(spec));
}

std::unique_ptr<nn::Recurrence> TensorLayerBuilder::recurrence(const nn::RecurrenceSpec& spec) {
  refuse_split(spec.name);
}

std::unique_ptr<nn::StateAttention> TensorLayerBuilder::state_attention(const nn::StateAttentionSpec& spec) {
  refuse_split(spec.name);
}

std::unique_ptr<nn::VocabularyLoss> TensorLayerBuilder::vocabulary_loss(const nn::VocabularyLossSpec& spec) {
  return std::make_unique<TensorVocabularyLoss>(spec, exchange_);
}

}  // namespace trireme
