#include "core/models/idle_options.h"

namespace trireme {
namespace {

using Config = const ModelConfig&;

bool has_norms(Config config) {
  if (config.recurrent()) return config.recurrent_norm || config.embedding_norm;
  return config.normalization != Normalization::kNone;
}

/// BERT's masked-token head has the activation, too, but for SwiGLU.
bool has_activation(Config config) {
  return config.feed_forward || (config.family == "bert" && config.num_classes == 0 &&
                                 config.activation != FeedForwardActivation::kSwiglu);
}

const IdleFields<ModelConfig> kTable[] = {
    {{"sinusoidal_form"},
     [](Config c) { return c.position_embedding_type != PositionEmbedding::kSinusoidal; },
     "without position_embedding_type sinusoidal"},
    {{"rotary_base", "rotary_interleaved"},
     [](Config c) { return !c.rotary(); },
     "without position_embedding_type rope"},
    {{"relative_max_distance", "relative_values"},
     [](Config c) { return c.position_embedding_type != PositionEmbedding::kRelative; },
     "without position_embedding_type relative"},
    {{"disagreement_coefficient"},
     [](Config c) { return c.disagreement == Disagreement::kNone; },
     "without disagreement"},
    {{"ffn_hidden_size"}, [](Config c) { return !c.feed_forward; }, "with feed_forward: false"},
    {{"activation"}, [](Config c) { return !has_activation(c); }, "with feed_forward: false"},
    {{"norm_position"},
     [](Config c) { return c.normalization == Normalization::kNone; },
     "with normalization none"},
    {{"norm_epsilon", "add_norm_bias"}, [](Config c) { return !has_norms(c); }, "without norms"},
    {{"normalization"},
     [](Config c) { return c.recurrent() && !has_norms(c); },
     "without recurrent_norm or embedding_norm"},
    {{"batch_norm_momentum", "batch_norm_padding"},
     [](Config c) { return c.normalization != Normalization::kBatchNorm; },
     "without normalization BatchNorm"},
    {{"label_smoothing_form"}, [](Config c) { return c.label_smoothing == 0; }, "without label_smoothing"},
    {{"label_smoothing", "untie_embeddings_and_output_weights"},
     [](Config c) { return c.num_classes > 0; },
     "with num_classes: a classifier has no head over the vocabulary"},
    // False is what happens.
    {{"scale_init_by_depth"},
     [](Config c) { return c.init_method == InitMethod::kXavierUniform && c.scale_init_by_depth; },
     "with init_method xavier_uniform"},
};

}  // namespace

std::span<const IdleFields<ModelConfig>> idle_model_options() {
  return kTable;
}

}  // namespace trireme
