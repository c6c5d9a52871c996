#pragma once

#include <memory>
#include <optional>

#include "core/nn/layers.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/rotary.h"
#include "core/ops/sinusoid.h"

namespace trireme::nn {

/// Logical outputs of one packed projection; each becomes the parameters NAME.weight and NAME.bias.
struct OutputPiece {
  std::string name;
  int64_t features = 0;
  /// Query heads, or key and value heads, that stay whole when the features are split; where there are fewer
  /// than ranks, neighbouring ranks hold the same one. 0: every feature is by itself.
  int64_t num_heads = 0;
};

/// A projection whose output features belong to heads or hidden units, so they may be split over ranks (each
/// piece by itself). The pieces lie side by side in the output: [query | key | value], [gate | up].
struct ColumnLinearSpec {
  std::string name;  ///< of the packed storage
  std::vector<OutputPiece> outputs;
  int64_t in_features = 0;
  bool bias = true;
  InitRule init = {};
};

/// A projection back to the model's width, whose input features may be split over ranks.
struct RowLinearSpec {
  std::string name;
  int64_t in_features = 0;
  int64_t out_features = 0;
  bool bias = true;
  InitRule init = {};
};

struct EmbeddingSpec {
  std::string name;
  int64_t num_rows = 0;  ///< vocabulary or positions
  int64_t features = 0;
  InitRule init = {};
  VocabularyEmbedding* shared = nullptr;  ///< whose matrix it takes; it must outlive the embedding
};

/// NAME{amplitude, frequency, phase}.weight, each [num_rows, features / 2].
struct ComplexEmbeddingSpec {
  std::string name;  ///< a prefix: "embedding."
  int64_t num_rows = 0;
  int64_t features = 0;
  InitRule init = {};  ///< of amplitudes; frequencies begin as those of sinusoids, phases at 0
  ComplexEmbedding* shared = nullptr;  ///< whose tables it takes; it must outlive the embedding
};

struct SinusoidSpec {
  int64_t num_positions = 0;
  int64_t features = 0;
  ops::SinusoidForm form = {};
};

struct DropoutSpec {
  std::string name;  ///< the logical site of its random numbers
  double probability = 0;
  Sequence sequence = Sequence::kTokens;
};

struct NormSpec {
  std::string name;
  NormKind kind = NormKind::kLayerNorm;
  int64_t features = 0;
  double eps = 1e-5;
  bool bias = true;
};

/// Statistics of each feature over all tokens of a micro-batch, on whatever ranks they lie (Ioffe and Szegedy
/// 2015): NAME.weight and NAME.bias; buffers NAME.running_mean and NAME.running_variance, by which it
/// normalizes outside training.
struct BatchNormSpec {
  std::string name;
  int64_t features = 0;
  double eps = 1e-5;
  double momentum = 0.1;  ///< of a micro-batch in the running statistics
  Sequence sequence = Sequence::kTokens;
  bool count_padding = false;  ///< padding is in the statistics
};

/// What the scores of an attention have in place of, or beside, the product of queries and keys
/// (core/ops/scored_attention.h). Their parameters, in an attention named NAME of H heads of dimension K:
/// relative: NAME.relative_key.weight and NAME.relative_value.weight [2 max_distance + 1, K]; relative_xl:
/// NAME.position.weight [H*K, sinusoid_width], NAME.content.bias and NAME.position.bias [H, K]; additive:
/// NAME.score.weight [H, K].
struct ScoreSpec {
  enum class Positions { kNone, kRelative, kRelativeXl, kAlibi };
  Positions positions = Positions::kNone;
  int64_t max_distance = 0;      ///< relative: where distances are clipped
  bool relative_values = false;  ///< relative: of values, too
  int64_t sinusoid_width = 0;    ///< relative_xl: of a distance's embedding
  bool additive = false;
  InitRule init = {};  ///< of what is no bias
};

/// What joins the loss so that heads differ (core/ops/disagreement.h): minus `weight` times the disagreement
/// of their values, outputs or attention maps, of every sample.
struct DisagreementSpec {
  enum class Of { kNone, kSubspaces, kOutputs, kMaps } of = Of::kNone;
  double weight = 0;
};

struct AttentionSpec {
  std::string name;
  int64_t layer = 0;  ///< entry of the key-value cache
  int64_t num_heads = 0;
  int64_t num_query_groups = 0;
  int64_t head_dim = 0;
  Sequence sequence = Sequence::kTokens;  ///< of the queries; cross-attention's keys are the source's
  bool causal = true;
  std::optional<ops::RotaryOptions> rotary = std::nullopt;  ///< theta and pairing
  double dropout = 0;
  bool scaled = true;            ///< scores times head_dim^-1/2
  bool share_query_key = false;  ///< self-attention's projection is [query = key | value]
  ScoreSpec score = {};
  DisagreementSpec disagreement = {};
};

/// The states of H = hidden_size units; NAME.weight [G*H, H] and NAME.bias.
struct RecurrenceSpec {
  std::string name;
  ops::RecurrentKind kind = ops::RecurrentKind::kGru;
  int64_t hidden_size = 0;
  bool reverse = false;  ///< from a sample's last token to its first
  bool bias = true;
  InitRule init = {};
};

struct StateAttentionSpec {
  std::string name;
  int64_t features = 0;
  bool additive = false;  ///< score w . tanh(query + key), w NAME.weight [1, D]; else query . key
  InitRule init = {};
};

/// A projection that every rank has whole.
struct LinearSpec {
  std::string name;
  int64_t in_features = 0;
  int64_t out_features = 0;
  InitRule init = {};
  /// Of the residual stream's rows, [B*T, D] or this rank's shard of them; else of a row a sample, [B, D].
  bool on_stream = false;
};

struct SampleLossSpec {
  std::string name;
  int64_t num_classes = 0;
  int64_t features = 0;
  InitRule init = {};
};

struct VocabularyLossSpec {
  std::string name;
  int64_t vocab_size = 0;
  int64_t features = 0;
  InitRule init = {};
  VocabularyEmbedding* tied = nullptr;  ///< shares its matrix; it must outlive the loss
  bool bias = false;
  ops::LabelSmoothing smoothing = {};  ///< in training
};

/// Makes layers by intent, so that a model is written once, as one rank would write it. Names are full
/// logical names; a layer's parameters append ".weight" and ".bias".
class LayerBuilder {
 public:
  virtual ~LayerBuilder() = default;
  virtual std::unique_ptr<Linear> column_linear(const ColumnLinearSpec& spec) = 0;
  virtual std::unique_ptr<Linear> row_linear(const RowLinearSpec& spec) = 0;
  virtual std::unique_ptr<VocabularyEmbedding> vocabulary_embedding(const EmbeddingSpec& spec) = 0;
  virtual std::unique_ptr<ComplexEmbedding> complex_embedding(const ComplexEmbeddingSpec& spec) = 0;
  virtual std::unique_ptr<PositionEmbedding> position_embedding(const EmbeddingSpec& spec) = 0;
  virtual std::unique_ptr<PositionEmbedding> sinusoidal_positions(const SinusoidSpec& spec) = 0;
  virtual std::unique_ptr<Dropout> dropout(const DropoutSpec& spec) = 0;
  virtual std::unique_ptr<Norm> norm(const NormSpec& spec) = 0;
  virtual std::unique_ptr<Norm> batch_norm(const BatchNormSpec& spec) = 0;
  virtual std::unique_ptr<ForkNorm> fork_norm(const NormSpec& spec) = 0;
  virtual std::unique_ptr<ResidualNorm> residual_norm(const NormSpec& spec, const DropoutSpec& dropout) = 0;
  virtual std::unique_ptr<ResidualAdd> residual_add(const DropoutSpec& dropout) = 0;
  virtual std::unique_ptr<SelfAttention> self_attention(const AttentionSpec& spec) = 0;
  virtual std::unique_ptr<CrossAttention> cross_attention(const AttentionSpec& spec) = 0;
  virtual std::unique_ptr<Recurrence> recurrence(const RecurrenceSpec& spec) = 0;
  virtual std::unique_ptr<StateAttention> state_attention(const StateAttentionSpec& spec) = 0;
  virtual std::unique_ptr<VocabularyLoss> vocabulary_loss(const VocabularyLossSpec& spec) = 0;
  virtual std::unique_ptr<Linear> linear(const LinearSpec& spec) = 0;
  virtual std::unique_ptr<FirstRows> first_rows() = 0;
  virtual std::unique_ptr<SampleLoss> sample_loss(const SampleLossSpec& spec) = 0;
  /// Into how many row shards of equal length the residual stream is divided (sequence parallelism); 1:
  /// every rank has all rows.
  virtual int64_t residual_shards() const = 0;
};

}  // namespace trireme::nn
