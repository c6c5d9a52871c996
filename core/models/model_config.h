#pragma once

#include "core/base/fields.h"
#include "core/ops/cross_entropy.h"
#include "core/ops/sinusoid.h"

namespace trireme {

enum class Normalization { kLayerNorm, kRmsNorm, kBatchNorm, kNone };
enum class NormPosition { kPre, kPost };
enum class PositionEmbedding {
  kLearnedAbsolute,
  kSinusoidal,
  kRope,
  kRelative,
  kRelativeXl,
  kAlibi,
  kComplex,
  kNone
};
enum class AttentionScore { kDot, kAdditive };
enum class Disagreement { kNone, kSubspace, kOutput, kMap };
enum class FeedForwardActivation { kGeluTanh, kGelu, kRelu, kSwiglu, kSigmoid, kTanh };
enum class RecurrentCell { kNone, kRnn, kLstm, kGru };
enum class RecurrentAttention { kNone, kAdditive, kDot };
enum class AttentionContext { kInput, kOutput };
enum class InitMethod { kNormal, kTruncatedNormal, kXavierUniform };

/// Section `model`. One list of options for all families; a family says what they are where nothing is said,
/// and refuses what makes no sense for it (registry.h). These are GPT-2 124M's (Radford et al. 2019).
/// Llama-style (Touvron et al. 2023): RMSNorm, rope, swiglu, no biases, untied head.
struct ModelConfig {
  std::string family = "gpt";
  int64_t num_layers = 12;
  int64_t encoder_num_layers = 0;  ///< of an encoder-decoder; 0: num_layers
  int64_t hidden_size = 768;
  int64_t ffn_hidden_size = 0;  ///< 0: 4 * hidden_size
  int64_t num_attention_heads = 12;
  int64_t num_query_groups = 0;         ///< 0: num_attention_heads
  int64_t kv_channels = 0;              ///< 0: hidden_size / num_attention_heads
  int64_t vocab_size = 0;               ///< 0: the tokenizer's
  int64_t source_vocab_size = 0;        ///< of an encoder-decoder; 0: vocab_size
  int64_t max_position_embeddings = 0;  ///< 0: data.seq_length
  int64_t num_token_types = 0;          ///< segments that have an embedding
  PositionEmbedding position_embedding_type = PositionEmbedding::kLearnedAbsolute;
  ops::SinusoidForm sinusoidal_form = ops::SinusoidForm::kInterleaved;
  double rotary_base = 10000.0;
  bool rotary_interleaved = false;
  int64_t relative_max_distance = 16;
  bool relative_values = true;
  AttentionScore attention_score = AttentionScore::kDot;
  bool scale_attention = true;   ///< by kv_channels^-1/2
  bool share_query_key = false;  ///< one projection, the query's
  Disagreement disagreement = Disagreement::kNone;
  double disagreement_coefficient = 1.0;
  bool scale_embeddings = false;       ///< times sqrt(hidden_size)
  bool share_source_embedding = true;  ///< of an encoder-decoder: one matrix for source and target
  Normalization normalization = Normalization::kLayerNorm;
  NormPosition norm_position = NormPosition::kPre;
  double norm_epsilon = 1e-5;
  double batch_norm_momentum = 0.1;
  bool batch_norm_padding = false;
  bool embedding_norm = false;
  FeedForwardActivation activation = FeedForwardActivation::kGeluTanh;
  bool feed_forward = true;
  bool residual_connections = true;
  bool add_bias_linear = true;
  bool add_norm_bias = true;
  bool untie_embeddings_and_output_weights = false;
  bool next_sentence_head = false;
  int64_t num_classes = 0;  ///< of a classifier; 0: a language model
  double label_smoothing = 0.0;
  ops::SmoothingForm label_smoothing_form = ops::SmoothingForm::kUniform;
  double hidden_dropout = 0.0;
  double attention_dropout = 0.0;
  InitMethod init_method = InitMethod::kNormal;
  double init_method_std = 0.02;
  bool scale_init_by_depth = true;  ///< of what ends in a residual sum: divided by sqrt(2 num_layers)

  RecurrentCell recurrent_cell = RecurrentCell::kNone;
  RecurrentAttention recurrent_attention = RecurrentAttention::kNone;
  AttentionContext attention_context = AttentionContext::kInput;
  bool bidirectional_encoder = false;
  bool recurrent_norm = false;

  void fields(FieldVisitor& visitor);
  /// Replaces the zeros that stand for "derived" and throws ConfigError listing every contradiction.
  void resolve(int64_t tokenizer_vocab_size, int64_t seq_length);

  /// Those of the encoder included.
  int64_t num_layers_in_all() const { return num_layers + encoder_num_layers; }
  /// Of a layer that reads a source, two.
  int64_t num_attentions() const { return num_layers_in_all() + (encoder_num_layers > 0 ? num_layers : 0); }
  bool recurrent() const { return recurrent_cell != RecurrentCell::kNone; }
  bool rotary() const { return position_embedding_type == PositionEmbedding::kRope; }
};

}  // namespace trireme
