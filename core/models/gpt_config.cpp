#include "core/models/gpt_config.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme {

void GptConfig::fields(FieldVisitor& visitor) {
  using NormNames = std::pair<const char*, Normalization>;
  using PositionNames = std::pair<const char*, PositionEmbedding>;
  using ActivationNames = std::pair<const char*, FeedForwardActivation>;
  static constexpr NormNames kNorms[] = {{"LayerNorm", Normalization::kLayerNorm},
                                         {"RMSNorm", Normalization::kRmsNorm}};
  static constexpr PositionNames kPositions[] = {{"learned_absolute", PositionEmbedding::kLearnedAbsolute},
                                                 {"rope", PositionEmbedding::kRope},
                                                 {"none", PositionEmbedding::kNone}};
  static constexpr ActivationNames kActivations[] = {{"gelu_tanh", FeedForwardActivation::kGeluTanh},
                                                     {"gelu", FeedForwardActivation::kGelu},
                                                     {"relu", FeedForwardActivation::kRelu},
                                                     {"swiglu", FeedForwardActivation::kSwiglu}};
  // The largest values keep every product of sizes far within 64 bits.
  visitor.visit({"num_layers", "Transformer layers.", "", 1, 4096}, num_layers);
  visitor.visit({"hidden_size", "Width of the residual stream.", "", 1, 1 << 20}, hidden_size);
  visitor.visit(
      {"ffn_hidden_size", "Width inside the feed-forward part; 0: 4 * hidden_size.", "", 0, 1 << 22},
      ffn_hidden_size);
  visitor.visit({"num_attention_heads", "Query heads.", "", 1, 4096}, num_attention_heads);
  visitor.visit(
      {"num_query_groups",
       "Key and value heads, each shared by a group of query heads; 0: num_attention_heads.", "", 0, 4096},
      num_query_groups);
  visitor.visit({"kv_channels", "Dimension of a head; 0: hidden_size / num_attention_heads.", "", 0, 1024},
                kv_channels);
  visitor.visit(
      {"vocab_size", "Rows of the vocabulary matrix; 0: those of the tokenizer.", "", 0, 0x7fffffff},
      vocab_size);
  visitor.visit({"max_position_embeddings", "Longest sequence; 0: data.seq_length.", "tokens", 0, 1 << 24},
                max_position_embeddings);
  visitor.visit_choice({"position_embedding_type", "How the model knows positions."}, position_embedding_type,
                       std::span<const PositionNames>(kPositions));
  visitor.visit({"rotary_base", "Theta of rope.", "", 1.0}, rotary_base);
  visitor.visit(
      {"rotary_interleaved", "Rope turns pairs of neighbours (2i, 2i+1); false: (i, i + half), as in Llama."},
      rotary_interleaved);
  visitor.visit_choice({"normalization", "The norm before each part of a layer and before the head."},
                       normalization, std::span<const NormNames>(kNorms));
  visitor.visit({"norm_epsilon", "Added to the variance inside the root.", "", 0.0}, norm_epsilon);
  visitor.visit_choice({"activation", "Activation of the feed-forward part (GPT-2: gelu_tanh)."}, activation,
                       std::span<const ActivationNames>(kActivations));
  visitor.visit({"add_bias_linear", "Biases in the linear layers."}, add_bias_linear);
  visitor.visit({"add_norm_bias", "Bias in LayerNorm; RMSNorm never has one."}, add_norm_bias);
  visitor.visit({"untie_embeddings_and_output_weights",
                 "A head with a matrix of its own instead of the token embedding's."},
                untie_embeddings_and_output_weights);
  visitor.visit(
      {"hidden_dropout", "Dropout on embeddings and before each residual sum.", "probability", 0.0, 0.999},
      hidden_dropout);
  visitor.visit({"attention_dropout", "Dropout on attention probabilities.", "probability", 0.0, 0.999},
                attention_dropout);
  visitor.visit({"init_method_std", "Standard deviation of initial weights.", "", 0.0}, init_method_std);
}

void GptConfig::resolve(int64_t tokenizer_vocab_size, int64_t seq_length) {
  std::vector<std::string> errors;
  const auto check = [&](bool holds, std::string message) {
    if (!holds) errors.push_back(std::move(message));
  };
  if (ffn_hidden_size == 0) ffn_hidden_size = 4 * hidden_size;
  if (num_query_groups == 0) num_query_groups = num_attention_heads;
  if (max_position_embeddings == 0) max_position_embeddings = seq_length;
  if (vocab_size == 0) vocab_size = tokenizer_vocab_size;
  if (kv_channels == 0 && num_attention_heads > 0) {
    check(
        hidden_size % num_attention_heads == 0,
        fmt::format("model.hidden_size {} is not a multiple of model.num_attention_heads {}; choose one that "
                    "is, or set model.kv_channels",
                    hidden_size, num_attention_heads));
    kv_channels = hidden_size / num_attention_heads;
  }
  check(num_query_groups > 0 && num_attention_heads % num_query_groups == 0,
        fmt::format("model.num_attention_heads {} is not a multiple of model.num_query_groups {}",
                    num_attention_heads, num_query_groups));
  check(position_embedding_type != PositionEmbedding::kRope || kv_channels % 2 == 0,
        fmt::format("rope turns pairs, so the dimension of a head (model.kv_channels) must be even, given {}",
                    kv_channels));
  check(vocab_size > 0, "model.vocab_size is 0 and there is no tokenizer to take it from; set it");
  check(vocab_size >= tokenizer_vocab_size || vocab_size == 0,
        fmt::format("model.vocab_size {} is smaller than the tokenizer's vocabulary of {}", vocab_size,
                    tokenizer_vocab_size));
  check(max_position_embeddings >= seq_length,
        fmt::format("data.seq_length {} is longer than model.max_position_embeddings {}", seq_length,
                    max_position_embeddings));
  if (errors.empty()) return;
  std::string message = errors[0];
  for (size_t i = 1; i < errors.size(); ++i) message += "\n" + errors[i];
  throw ConfigError(message);
}

}  // namespace trireme
