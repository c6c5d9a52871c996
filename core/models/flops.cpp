#include "core/models/flops.h"

namespace trireme {

namespace {

int64_t num_attentions(const ModelConfig& config) {
  if (config.recurrent()) return config.recurrent_attention == RecurrentAttention::kNone ? 0 : 1;
  return config.num_attentions();
}

}  // namespace

FlopCount flops_per_token(const Model& model, const ModelConfig& config, int64_t seq_length) {
  const double products = 6.0 * static_cast<double>(model.num_flop_parameters());
  const int64_t attentions = num_attentions(config);
  const double attention = 12.0 * static_cast<double>(attentions) *
                           static_cast<double>(config.num_attention_heads * config.kv_channels) *
                           static_cast<double>(seq_length);
  return {products + attention, products + attention / 2};
}

}  // namespace trireme
