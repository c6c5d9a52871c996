#include "core/models/model_config.h"

#include <fmt/format.h>

#include <cmath>

#include "core/base/error.h"
#include "core/models/idle_options.h"
#include "core/models/registry.h"

namespace trireme {
namespace {

/// The first field: the others begin with what the family takes where nothing is said.
void visit_family(FieldVisitor& visitor, ModelConfig& config) {
  Field field{"family", "The kind of model; the defaults of the other keys are its own."};
  for (const Family& one : families()) field.choices.emplace_back(one.name);
  const std::string before = config.family;
  visitor.visit(field, config.family);
  if (config.family != before) config = family_named(config.family).defaults();
}

void visit_disagreement(FieldVisitor& visitor, ModelConfig& config) {
  using Names = std::pair<const char*, Disagreement>;
  static constexpr Names kForms[] = {{"none", Disagreement::kNone},
                                     {"subspace", Disagreement::kSubspace},
                                     {"output", Disagreement::kOutput},
                                     {"map", Disagreement::kMap}};
  visitor.visit_choice(
      {"disagreement",
       "A term of the training loss that sets the heads of every attention apart (Li et al. 2018): their "
       "values (subspace), outputs or attention maps."},
      config.disagreement, std::span<const Names>(kForms));
  visitor.visit(
      {"disagreement_coefficient",
       "Weight of that term, which is averaged over samples and over the model's attentions.", "", 0.0},
      config.disagreement_coefficient);
}

void visit_recurrent(FieldVisitor& visitor, ModelConfig& config) {
  using CellNames = std::pair<const char*, RecurrentCell>;
  using AttentionNames = std::pair<const char*, RecurrentAttention>;
  using ContextNames = std::pair<const char*, AttentionContext>;
  static constexpr CellNames kCells[] = {{"none", RecurrentCell::kNone},
                                         {"rnn", RecurrentCell::kRnn},
                                         {"lstm", RecurrentCell::kLstm},
                                         {"gru", RecurrentCell::kGru}};
  static constexpr AttentionNames kAttentions[] = {{"none", RecurrentAttention::kNone},
                                                   {"additive", RecurrentAttention::kAdditive},
                                                   {"dot", RecurrentAttention::kDot}};
  static constexpr ContextNames kContexts[] = {{"input", AttentionContext::kInput},
                                               {"output", AttentionContext::kOutput}};
  visitor.visit_choice({"recurrent_cell", "Cells of the family recurrent; rnn: tanh (Elman 1990)."},
                       config.recurrent_cell, std::span<const CellNames>(kCells));
  visitor.visit_choice(
      {"recurrent_attention",
       "How a recurrent decoder scores the encoder's states: additive (Bahdanau et al. 2015), dot product."},
      config.recurrent_attention, std::span<const AttentionNames>(kAttentions));
  visitor.visit_choice(
      {"attention_context",
       "input: the first decoder layer attends from its previous state and reads the context beside its "
       "input (Bahdanau et al. 2015); output: it is joined to the last layer's output (Luong et al. 2015)."},
      config.attention_context, std::span<const ContextNames>(kContexts));
  visitor.visit({"bidirectional_encoder",
                 "A recurrent encoder reads in both directions, each with half of hidden_size."},
                config.bidirectional_encoder);
  visitor.visit({"recurrent_norm", "A norm of the input of each recurrent layer."}, config.recurrent_norm);
}

}  // namespace

void ModelConfig::fields(FieldVisitor& visitor) {
  visit_family(visitor, *this);
  using NormNames = std::pair<const char*, Normalization>;
  using PositionNames = std::pair<const char*, PositionEmbedding>;
  using ActivationNames = std::pair<const char*, FeedForwardActivation>;
  static constexpr NormNames kNorms[] = {{"LayerNorm", Normalization::kLayerNorm},
                                         {"RMSNorm", Normalization::kRmsNorm},
                                         {"BatchNorm", Normalization::kBatchNorm},
                                         {"none", Normalization::kNone}};
  static constexpr PositionNames kPositions[] = {{"learned_absolute", PositionEmbedding::kLearnedAbsolute},
                                                 {"sinusoidal", PositionEmbedding::kSinusoidal},
                                                 {"rope", PositionEmbedding::kRope},
                                                 {"relative", PositionEmbedding::kRelative},
                                                 {"relative_xl", PositionEmbedding::kRelativeXl},
                                                 {"alibi", PositionEmbedding::kAlibi},
                                                 {"complex", PositionEmbedding::kComplex},
                                                 {"none", PositionEmbedding::kNone}};
  static constexpr ActivationNames kActivations[] = {
      {"gelu_tanh", FeedForwardActivation::kGeluTanh}, {"gelu", FeedForwardActivation::kGelu},
      {"relu", FeedForwardActivation::kRelu},          {"sigmoid", FeedForwardActivation::kSigmoid},
      {"tanh", FeedForwardActivation::kTanh},          {"swiglu", FeedForwardActivation::kSwiglu}};
  using ScoreNames = std::pair<const char*, AttentionScore>;
  static constexpr ScoreNames kScores[] = {{"dot", AttentionScore::kDot},
                                           {"additive", AttentionScore::kAdditive}};
  using SmoothingNames = std::pair<const char*, ops::SmoothingForm>;
  static constexpr SmoothingNames kSmoothings[] = {
      {"uniform", ops::SmoothingForm::kUniform},
      {"others", ops::SmoothingForm::kOthers},
      {"others-normalized", ops::SmoothingForm::kOthersNormalized}};
  using NormPositionNames = std::pair<const char*, NormPosition>;
  using FormNames = std::pair<const char*, ops::SinusoidForm>;
  using InitNames = std::pair<const char*, InitMethod>;
  static constexpr NormPositionNames kNormPositions[] = {{"pre", NormPosition::kPre},
                                                         {"post", NormPosition::kPost}};
  static constexpr FormNames kForms[] = {{"interleaved", ops::SinusoidForm::kInterleaved},
                                         {"concatenated", ops::SinusoidForm::kConcatenated},
                                         {"tensor2tensor", ops::SinusoidForm::kTensor2Tensor}};
  static constexpr InitNames kInits[] = {{"normal", InitMethod::kNormal},
                                         {"truncated_normal", InitMethod::kTruncatedNormal},
                                         {"xavier_uniform", InitMethod::kXavierUniform}};
  // The largest values keep every product of sizes far within 64 bits.
  visitor.visit(
      {"num_layers", "Transformer layers; of an encoder-decoder, those of the decoder.", "", 1, 4096},
      num_layers);
  visitor.visit(
      {"encoder_num_layers", "Layers of the encoder of an encoder-decoder; 0: num_layers.", "", 0, 4096},
      encoder_num_layers);
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
  visitor.visit(
      {"source_vocab_size",
       "Rows of an encoder-decoder's source vocabulary; 0: those of the source tokenizer, or vocab_size.", "",
       0, 0x7fffffff},
      source_vocab_size);
  visitor.visit({"max_position_embeddings", "Longest sequence; 0: data.seq_length.", "tokens", 0, 1 << 24},
                max_position_embeddings);
  visitor.visit(
      {"num_token_types", "Token types (segments) with an embedding of their own; 0: none.", "", 0, 1024},
      num_token_types);
  visitor.visit_choice(
      {"position_embedding_type",
       "How the model knows positions; relative (Shaw et al. 2018), relative_xl (Transformer-XL), alibi and "
       "rope are of self-attention; complex: tokens have amplitudes, frequencies and phases (Wang et al. "
       "2020)."},
      position_embedding_type, std::span<const PositionNames>(kPositions));
  visitor.visit_choice(
      {"sinusoidal_form",
       "interleaved: sine and cosine take turns (Vaswani et al. 2017); concatenated: sines, then "
       "cosines (Marian); tensor2tensor: so, with its own wavelengths."},
      sinusoidal_form, std::span<const FormNames>(kForms));
  visitor.visit({"rotary_base", "Theta of rope.", "", 1.0}, rotary_base);
  visitor.visit(
      {"rotary_interleaved", "Rope turns pairs of neighbours (2i, 2i+1); false: (i, i + half), as in Llama."},
      rotary_interleaved);
  visitor.visit(
      {"relative_max_distance", "Of relative: longer distances count as this one.", "tokens", 1, 1 << 20},
      relative_max_distance);
  visitor.visit({"relative_values", "Of relative: positions are added to values, too."}, relative_values);
  visitor.visit_choice(
      {"attention_score",
       "dot: products of queries and keys; additive: w tanh(q + k) (Bahdanau et al. 2015), in each head."},
      attention_score, std::span<const ScoreNames>(kScores));
  visitor.visit({"scale_attention", "Products of queries and keys are divided by sqrt(kv_channels)."},
                scale_attention);
  visitor.visit({"share_query_key", "Self-attention has one projection for queries and keys."},
                share_query_key);
  visit_disagreement(visitor, *this);
  visitor.visit({"scale_embeddings", "Token embeddings times sqrt(hidden_size) (Vaswani et al. 2017)."},
                scale_embeddings);
  visitor.visit(
      {"share_source_embedding", "One matrix for the source and target tokens of an encoder-decoder."},
      share_source_embedding);
  visitor.visit_choice({"normalization",
                        "The norm of each part of a layer and before the head; BatchNorm: over all tokens of "
                        "a micro-batch and "
                        "of all data ranks; none: there is none."},
                       normalization, std::span<const NormNames>(kNorms));
  visitor.visit_choice(
      {"norm_position",
       "pre: the norm is before each part of a layer, and one before the head; post: after each "
       "residual sum (Vaswani et al. 2017)."},
      norm_position, std::span<const NormPositionNames>(kNormPositions));
  visitor.visit({"norm_epsilon", "Added to the variance inside the root.", "", 0.0}, norm_epsilon);
  visitor.visit(
      {"batch_norm_momentum", "Weight of a micro-batch in BatchNorm's running statistics.", "", 0.0, 1.0},
      batch_norm_momentum);
  visitor.visit({"batch_norm_padding", "BatchNorm's statistics count padding, too."}, batch_norm_padding);
  visitor.visit({"embedding_norm", "A norm after the embedding (BERT)."}, embedding_norm);
  visitor.visit_choice({"activation", "Activation of the feed-forward part (GPT-2: gelu_tanh)."}, activation,
                       std::span<const ActivationNames>(kActivations));
  visitor.visit({"feed_forward", "Layers have a feed-forward part."}, feed_forward);
  visitor.visit({"residual_connections", "What a part of a layer gives is added to what entered it."},
                residual_connections);
  visitor.visit({"add_bias_linear", "Biases in the linear layers."}, add_bias_linear);
  visitor.visit({"add_norm_bias", "Bias in LayerNorm; RMSNorm never has one."}, add_norm_bias);
  visitor.visit({"untie_embeddings_and_output_weights",
                 "A head with a matrix of its own instead of the token embedding's."},
                untie_embeddings_and_output_weights);
  visitor.visit({"next_sentence_head", "BERT's second task: does sentence B follow sentence A?"},
                next_sentence_head);
  visitor.visit({"num_classes", "Classes of a classifier in place of BERT's heads; 0: none.", "", 0, 1 << 20},
                num_classes);
  visitor.visit({"label_smoothing", "Share of each target that is spread over the vocabulary, in training.",
                 "probability", 0.0, 0.999},
                label_smoothing);
  visitor.visit_choice({"label_smoothing_form",
                        "uniform: over all tokens, the target too (PyTorch); others: over all but the target "
                        "(fairseq); others-normalized: so, less its entropy (Tensor2Tensor)."},
                       label_smoothing_form, std::span<const SmoothingNames>(kSmoothings));
  visitor.visit(
      {"hidden_dropout", "Dropout on embeddings and before each residual sum.", "probability", 0.0, 0.999},
      hidden_dropout);
  visitor.visit({"attention_dropout", "Dropout on attention probabilities.", "probability", 0.0, 0.999},
                attention_dropout);
  visitor.visit_choice(
      {"init_method",
       "How matrices begin: normal; truncated_normal (cut at two deviations); xavier_uniform, "
       "where embeddings are normal."},
      init_method, std::span<const InitNames>(kInits));
  visitor.visit({"init_method_std",
                 "Standard deviation of initial weights; of xavier_uniform, of the embeddings alone; 0: "
                 "hidden_size^-0.5.",
                 "", 0.0},
                init_method_std);
  visitor.visit({"scale_init_by_depth",
                 "What ends in a residual sum begins smaller by sqrt(2 * num_layers) (GPT-2); not with "
                 "xavier_uniform."},
                scale_init_by_depth);
  visit_recurrent(visitor, *this);
}

namespace {

/// What one option says that another leaves without sense.
void check_switches(const ModelConfig& config, std::vector<std::string>& errors) {
  using enum PositionEmbedding;
  const PositionEmbedding positions = config.position_embedding_type;
  const bool additive = config.attention_score == AttentionScore::kAdditive;
  const auto refuse = [&](bool given, const char* sentence) {
    if (given) errors.emplace_back(sentence);
  };
  refuse(additive && (positions == kRelative || positions == kRelativeXl || positions == kRope),
         "model.attention_score: given additive, expected dot: relative, relative_xl and rope positions are "
         "in products of queries and keys; choose dot or other positions");
  refuse(additive && !config.scale_attention,
         "model.scale_attention: given false, expected true with attention_score additive, which is never "
         "divided");
  refuse(config.share_query_key && config.num_query_groups != config.num_attention_heads,
         "model.share_query_key: given true, expected false with num_query_groups other than "
         "num_attention_heads: a key head would have several queries");
  refuse(config.normalization == Normalization::kBatchNorm && !config.add_norm_bias,
         "model.add_norm_bias: given false, expected true with normalization BatchNorm, which has a bias");
  refuse(positions == kComplex && config.num_classes == 0 && !config.untie_embeddings_and_output_weights,
         "model.untie_embeddings_and_output_weights: given false, expected true with position_embedding_type "
         "complex: its tables of amplitudes, frequencies and phases are no matrix of a head");
  const bool disagrees = config.disagreement != Disagreement::kNone;
  refuse(disagrees && config.disagreement_coefficient == 0.0,
         "model.disagreement_coefficient: given 0, expected more; or disagreement none");
  refuse(disagrees && config.num_attention_heads == 1,
         "model.disagreement: given a value, expected none with one attention head: it has none to differ "
         "from");
  refuse(config.normalization == Normalization::kNone && config.embedding_norm,
         "model.embedding_norm: given true, expected false with normalization none");
}

}  // namespace

void ModelConfig::resolve(int64_t tokenizer_vocab_size, int64_t seq_length) {
  std::vector<std::string> errors;
  const auto check = [&](bool holds, std::string message) {
    if (!holds) errors.push_back(std::move(message));
  };
  if (ffn_hidden_size == 0) ffn_hidden_size = 4 * hidden_size;
  if (num_query_groups == 0) num_query_groups = num_attention_heads;
  if (max_position_embeddings == 0) max_position_embeddings = seq_length;
  if (init_method_std == 0) init_method_std = 1.0 / std::sqrt(static_cast<double>(hidden_size));
  if (vocab_size == 0) vocab_size = tokenizer_vocab_size;
  family_named(family).check(*this, errors);
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
  check(!rotary() || kv_channels % 2 == 0,
        fmt::format("rope turns pairs, so the dimension of a head (model.kv_channels) must be even, given {}",
                    kv_channels));
  const bool sinusoids = position_embedding_type == PositionEmbedding::kSinusoidal ||
                         position_embedding_type == PositionEmbedding::kRelativeXl;
  check(!sinusoids || hidden_size % 2 == 0,
        fmt::format(
            "sinusoidal positions are pairs of sine and cosine, so model.hidden_size must be even, given {}",
            hidden_size));
  check(position_embedding_type != PositionEmbedding::kComplex || hidden_size % 2 == 0,
        fmt::format("complex embeddings are pairs of real and imaginary parts, so model.hidden_size must be "
                    "even, given {}",
                    hidden_size));
  check_switches(*this, errors);
  ModelConfig usual = family_named(family).defaults();
  usual.ffn_hidden_size = 4 * hidden_size;
  for (std::string& error : idle_field_errors("model", *this, usual, *this, idle_model_options()))
    errors.push_back(std::move(error));
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
