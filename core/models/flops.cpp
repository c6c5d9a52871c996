#include "core/models/flops.h"

namespace trireme {

FlopCount flops_per_token(const Model& model, const ModelConfig& config, int64_t seq_length) {
  const double products = 6.0 * static_cast<double>(model.num_flop_parameters());
  const double attention = 12.0 * static_cast<double>(config.num_layers) *
                           static_cast<double>(config.num_attention_heads * config.kv_channels) *
                           static_cast<double>(seq_length);
  return {products + attention, products + attention / 2};
}

}  // namespace trireme
