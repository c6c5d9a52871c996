#include "core/nn/plain_layer_builder.h"

#include "core/autograd/functions/dropout.h"
#include "core/autograd/functions/embedding.h"
#include "core/autograd/functions/linear.h"
#include "core/autograd/functions/linear_cross_entropy.h"
#include "core/autograd/functions/rows.h"
#include "core/autograd/functions/scale.h"
#include "core/nn/parameters.h"
#include "core/nn/plain_attention.h"
#include "core/nn/plain_batch_norm.h"
#include "core/nn/plain_linear.h"
#include "core/nn/plain_recurrence.h"
#include "core/ops/gemm.h"

namespace trireme::nn {
namespace {

class PlainVocabularyEmbedding final : public VocabularyEmbedding {
 public:
  explicit PlainVocabularyEmbedding(const EmbeddingSpec& spec) : shared_(spec.shared) {
    if (shared_ == nullptr)
      own_ = whole_parameter(spec.name + ".weight", {spec.num_rows, spec.features}, spec.init, true);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    if (own_) parameters.push_back(&*own_);
  }
  void collect_shared(std::vector<Parameter*>& parameters) override {
    if (shared_ != nullptr) parameters.push_back(&shared_->weight());
  }
  Variable forward(Context& context, const Tensor& tokens) override {
    return embedding(context, weight(), tokens);
  }
  Parameter& weight() override { return shared_ != nullptr ? shared_->weight() : *own_; }

 private:
  VocabularyEmbedding* shared_;
  std::optional<Parameter> own_;
};

class PlainComplexEmbedding final : public ComplexEmbedding {
 public:
  explicit PlainComplexEmbedding(const ComplexEmbeddingSpec& spec) : shared_(spec.shared) {
    if (shared_ != nullptr) return;
    const auto table = [&](const char* name, InitRule init) {
      return whole_parameter(spec.name + name + ".weight", {spec.num_rows, spec.features / 2}, init, true);
    };
    own_ = {table("amplitude", spec.init), table("frequency", frequencies()), table("phase", zeros())};
  }
  void collect(std::vector<Parameter*>& parameters) override {
    for (Parameter& table : own_) parameters.push_back(&table);
  }
  void collect_shared(std::vector<Parameter*>& parameters) override {
    if (shared_ == nullptr) return;
    const ComplexTables tables = shared_->tables();
    parameters.insert(parameters.end(), {&tables.amplitude, &tables.frequency, &tables.phase});
  }
  Variable forward(Context& context, const Tensor& tokens, const Tensor& positions) override {
    return trireme::complex_embedding(context, tables(), tokens, positions);
  }
  ComplexTables tables() override {
    return shared_ != nullptr ? shared_->tables() : ComplexTables{own_[0], own_[1], own_[2]};
  }

 private:
  ComplexEmbedding* shared_;
  std::vector<Parameter> own_;  ///< amplitudes, frequencies, phases; empty where they are shared
};

class PlainPositionEmbedding final : public PositionEmbedding {
 public:
  PlainPositionEmbedding(const EmbeddingSpec& spec, const RowShard& shard)
      : weight_(whole_parameter(spec.name + ".weight", {spec.num_rows, spec.features}, spec.init, true)),
        shard_(shard) {}
  void collect(std::vector<Parameter*>& parameters) override { parameters.push_back(&weight_); }
  Variable forward(Context& context, const Variable& x, const Tensor& positions) override {
    return add_embedding(context, x, weight_, shard_.of(positions));
  }

 private:
  Parameter weight_;
  RowShard shard_;
};

class SinusoidalPositions final : public PositionEmbedding {
 public:
  SinusoidalPositions(const SinusoidSpec& spec, const RowShard& shard) : spec_(spec), shard_(shard) {}
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, const Variable& x, const Tensor& positions) override {
    if (!table_.defined() || table_.dtype() != x.value().dtype()) {
      table_ = Tensor::allocate_padded(context.allocator, {spec_.num_positions, spec_.features},
                                       x.value().dtype(), MemoryCategory::kWeights);
      ops::sinusoid_table(spec_.form, table_);
    }
    return add_constant_rows(context, x, table_, shard_.of(positions));
  }

 private:
  SinusoidSpec spec_;
  RowShard shard_;
  Tensor table_;
};

class PlainDropout final : public Dropout {
 public:
  PlainDropout(const DropoutSpec& spec, const RowShard& shard) : spec_(spec), shard_(shard) {}
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, ForwardPass& pass, const Variable& x) override {
    return trireme::dropout(
        context, dropout_options(context, pass, spec_.probability, spec_.name, spec_.sequence, shard_), x);
  }

 private:
  DropoutSpec spec_;
  RowShard shard_;
};

/// The parameters of a norm, shared by the layers that have one inside.
class NormWeights {
 public:
  explicit NormWeights(const NormSpec& spec)
      : kind_(spec.kind),
        eps_(spec.eps),
        weight_(whole_parameter(spec.name + ".weight", {spec.features}, ones(), false)) {
    if (spec.bias) bias_ = whole_parameter(spec.name + ".bias", {spec.features}, zeros(), false);
  }
  void collect(std::vector<Parameter*>& parameters) {
    parameters.push_back(&weight_);
    if (bias_) parameters.push_back(&*bias_);
  }
  NormParameters parameters() { return {kind_, eps_, &weight_, bias_ ? &*bias_ : nullptr}; }

 private:
  NormKind kind_;
  double eps_;
  Parameter weight_;
  std::optional<Parameter> bias_;
};

class PlainNorm final : public Norm {
 public:
  explicit PlainNorm(const NormSpec& spec) : weights_(spec) {}
  void collect(std::vector<Parameter*>& parameters) override { weights_.collect(parameters); }
  Variable forward(Context& context, ForwardPass&, const Variable& x) override {
    return trireme::norm(context, weights_.parameters(), x);
  }

 private:
  NormWeights weights_;
};

class PlainForkNorm final : public ForkNorm {
 public:
  explicit PlainForkNorm(const NormSpec& spec) : weights_(spec) {}
  void collect(std::vector<Parameter*>& parameters) override { weights_.collect(parameters); }
  ResidualNormOutput forward(Context& context, const Variable& x) override {
    return trireme::fork_norm(context, weights_.parameters(), x);
  }

 private:
  NormWeights weights_;
};

class PlainResidualNorm final : public ResidualNorm {
 public:
  PlainResidualNorm(const NormSpec& spec, const DropoutSpec& dropout, const RowShard& shard)
      : weights_(spec), dropout_(dropout), shard_(shard) {}
  void collect(std::vector<Parameter*>& parameters) override { weights_.collect(parameters); }
  ResidualNormOutput forward(Context& context, ForwardPass& pass, const Variable& branch,
                             const Variable& residual) override {
    return residual_norm(
        context, weights_.parameters(),
        dropout_options(context, pass, dropout_.probability, dropout_.name, dropout_.sequence, shard_),
        branch, residual);
  }

 private:
  NormWeights weights_;
  DropoutSpec dropout_;
  RowShard shard_;
};

class PlainResidualAdd final : public ResidualAdd {
 public:
  PlainResidualAdd(const DropoutSpec& dropout, const RowShard& shard) : dropout_(dropout), shard_(shard) {}
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, ForwardPass& pass, const Variable& branch,
                   const Variable& residual) override {
    return dropout_add(
        context,
        dropout_options(context, pass, dropout_.probability, dropout_.name, dropout_.sequence, shard_),
        branch, residual);
  }

 private:
  DropoutSpec dropout_;
  RowShard shard_;
};

class PlainVocabularyLoss final : public VocabularyLoss {
 public:
  explicit PlainVocabularyLoss(const VocabularyLossSpec& spec)
      : tied_(spec.tied), smoothing_(spec.smoothing) {
    if (tied_ == nullptr)
      own_ = whole_parameter(spec.name + ".weight", {spec.vocab_size, spec.features}, spec.init, true);
    if (spec.bias) bias_ = whole_parameter(spec.name + ".bias", {spec.vocab_size}, zeros(), false);
  }
  void collect(std::vector<Parameter*>& parameters) override {
    if (own_) parameters.push_back(&*own_);
    if (bias_) parameters.push_back(&*bias_);
  }
  void collect_shared(std::vector<Parameter*>& parameters) override {
    if (tied_ != nullptr) parameters.push_back(&tied_->weight());
  }
  Variable loss(Context& context, ForwardPass& pass, const Variable& hidden) override {
    TokenLossOptions options{.bias = bias()};
    if (context.training) options.smoothing = smoothing_;
    TokenLoss loss = linear_cross_entropy(context, hidden, weight(), pass.batch.targets,
                                          pass.loss_scale[LossTerm::kTokens], options);
    pass.losses[LossTerm::kTokens] = {loss.sum, loss.count, loss.right};
    return std::move(loss.scaled);
  }
  Tensor logits(Context& context, const Tensor& hidden) override {
    Tensor logits = context.activation({hidden.rows(), weight().shape[0]}, hidden.dtype());
    ops::gemm(context, hidden, weight().value, logits,
              {.transpose_b = true, .bias = bias_ ? &bias_->value : nullptr});
    return logits;
  }

 private:
  Parameter& weight() { return tied_ != nullptr ? tied_->weight() : *own_; }
  Parameter* bias() { return bias_ ? &*bias_ : nullptr; }

  VocabularyEmbedding* tied_;
  ops::LabelSmoothing smoothing_;
  std::optional<Parameter> own_, bias_;
};

class PlainFirstRows final : public FirstRows {
 public:
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, const ForwardPass& pass, const Variable& x) override {
    return every_nth_row(context, x, pass.batch.length());
  }
};

class PlainSampleLoss final : public SampleLoss {
 public:
  explicit PlainSampleLoss(const SampleLossSpec& spec)
      : weight_(whole_parameter(spec.name + ".weight", {spec.num_classes, spec.features}, spec.init, true)),
        bias_(whole_parameter(spec.name + ".bias", {spec.num_classes}, zeros(), false)) {}
  void collect(std::vector<Parameter*>& parameters) override {
    parameters.push_back(&weight_);
    parameters.push_back(&bias_);
  }
  Variable loss(Context& context, ForwardPass& pass, const Variable& rows) override {
    TokenLoss loss = linear_cross_entropy(context, rows, weight_, pass.batch.labels,
                                          pass.loss_scale[LossTerm::kSamples], {.bias = &bias_});
    pass.losses[LossTerm::kSamples] = {loss.sum, loss.count, loss.right};
    return std::move(loss.scaled);
  }
  Tensor logits(Context& context, const Tensor& rows) override {
    const GradModeGuard no_grad(context, false);
    return linear(context, Variable(rows), weight_, &bias_).value();
  }

 private:
  Parameter weight_, bias_;
};

}  // namespace

std::unique_ptr<Linear> PlainLayerBuilder::column_linear(const ColumnLinearSpec& spec) {
  return std::make_unique<PlainLinear>(spec);
}

std::unique_ptr<Linear> PlainLayerBuilder::row_linear(const RowLinearSpec& spec) {
  return std::make_unique<PlainLinear>(ColumnLinearSpec{.name = spec.name,
                                                        .outputs = {{spec.name, spec.out_features}},
                                                        .in_features = spec.in_features,
                                                        .bias = spec.bias,
                                                        .init = spec.init});
}

std::unique_ptr<Linear> PlainLayerBuilder::linear(const LinearSpec& spec) {
  return std::make_unique<PlainLinear>(ColumnLinearSpec{.name = spec.name,
                                                        .outputs = {{spec.name, spec.out_features}},
                                                        .in_features = spec.in_features,
                                                        .bias = true,
                                                        .init = spec.init});
}

std::unique_ptr<FirstRows> PlainLayerBuilder::first_rows() {
  return std::make_unique<PlainFirstRows>();
}

std::unique_ptr<SampleLoss> PlainLayerBuilder::sample_loss(const SampleLossSpec& spec) {
  return std::make_unique<PlainSampleLoss>(spec);
}

std::unique_ptr<VocabularyEmbedding> PlainLayerBuilder::vocabulary_embedding(const EmbeddingSpec& spec) {
  return std::make_unique<PlainVocabularyEmbedding>(spec);
}

std::unique_ptr<ComplexEmbedding> PlainLayerBuilder::complex_embedding(const ComplexEmbeddingSpec& spec) {
  return std::make_unique<PlainComplexEmbedding>(spec);
}

std::unique_ptr<PositionEmbedding> PlainLayerBuilder::position_embedding(const EmbeddingSpec& spec) {
  return std::make_unique<PlainPositionEmbedding>(spec, shard_);
}

std::unique_ptr<PositionEmbedding> PlainLayerBuilder::sinusoidal_positions(const SinusoidSpec& spec) {
  return std::make_unique<SinusoidalPositions>(spec, shard_);
}

std::unique_ptr<Dropout> PlainLayerBuilder::dropout(const DropoutSpec& spec) {
  return std::make_unique<PlainDropout>(spec, shard_);
}

std::unique_ptr<Norm> PlainLayerBuilder::norm(const NormSpec& spec) {
  return std::make_unique<PlainNorm>(spec);
}

std::unique_ptr<Norm> PlainLayerBuilder::batch_norm(const BatchNormSpec& spec) {
  return std::make_unique<PlainBatchNorm>(spec, shard_, sum_over_ranks_);
}

std::unique_ptr<ForkNorm> PlainLayerBuilder::fork_norm(const NormSpec& spec) {
  return std::make_unique<PlainForkNorm>(spec);
}

std::unique_ptr<ResidualNorm> PlainLayerBuilder::residual_norm(const NormSpec& spec,
                                                               const DropoutSpec& dropout) {
  return std::make_unique<PlainResidualNorm>(spec, dropout, shard_);
}

std::unique_ptr<ResidualAdd> PlainLayerBuilder::residual_add(const DropoutSpec& dropout) {
  return std::make_unique<PlainResidualAdd>(dropout, shard_);
}

std::unique_ptr<SelfAttention> PlainLayerBuilder::self_attention(const AttentionSpec& spec) {
  return std::make_unique<PlainAttention>(spec, ScoreTables(spec), DisagreementTerm(spec));
}

std::unique_ptr<CrossAttention> PlainLayerBuilder::cross_attention(const AttentionSpec& spec) {
  return std::make_unique<PlainCrossAttention>(spec, ScoreTables(spec), DisagreementTerm(spec));
}

std::unique_ptr<Recurrence> PlainLayerBuilder::recurrence(const RecurrenceSpec& spec) {
  return std::make_unique<PlainRecurrence>(spec);
}

std::unique_ptr<StateAttention> PlainLayerBuilder::state_attention(const StateAttentionSpec& spec) {
  return std::make_unique<PlainStateAttention>(spec);
}

std::unique_ptr<VocabularyLoss> PlainLayerBuilder::vocabulary_loss(const VocabularyLossSpec& spec) {
  return std::make_unique<PlainVocabularyLoss>(spec);
}

}  // namespace trireme::nn
