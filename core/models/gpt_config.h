#pragma once

#include "core/base/fields.h"

namespace trireme {

enum class Normalization { kLayerNorm, kRmsNorm };
enum class PositionEmbedding { kLearnedAbsolute, kRope, kNone };
enum class FeedForwardActivation { kGeluTanh, kGelu, kRelu, kSwiglu };

/// Section `model`. Defaults: GPT-2 124M (Radford et al. 2019). Llama-style (Touvron et al. 2023): RMSNorm,
/// rope, swiglu, no biases, untied head.
struct GptConfig {
  int64_t num_layers = 12;
  int64_t hidden_size = 768;
  int64_t ffn_hidden_size = 0;  ///< 0: 4 * hidden_size
  int64_t num_attention_heads = 12;
  int64_t num_query_groups = 0;         ///< 0: num_attention_heads
  int64_t kv_channels = 0;              ///< 0: hidden_size / num_attention_heads
  int64_t vocab_size = 0;               ///< 0: the tokenizer's
  int64_t max_position_embeddings = 0;  ///< 0: data.seq_length
  PositionEmbedding position_embedding_type = PositionEmbedding::kLearnedAbsolute;
  double rotary_base = 10000.0;
  bool rotary_interleaved = false;
  Normalization normalization = Normalization::kLayerNorm;
  double norm_epsilon = 1e-5;
  FeedForwardActivation activation = FeedForwardActivation::kGeluTanh;
  bool add_bias_linear = true;
  bool add_norm_bias = true;
  bool untie_embeddings_and_output_weights = false;
  double hidden_dropout = 0.0;
  double attention_dropout = 0.0;
  double init_method_std = 0.02;

  void fields(FieldVisitor& visitor);
  /// Replaces the zeros that stand for "derived" and throws ConfigError listing every contradiction.
  void resolve(int64_t tokenizer_vocab_size, int64_t seq_length);
};

}  // namespace trireme
