#pragma once

#include "core/models/model.h"
#include "core/models/model_config.h"

namespace trireme {

/// Floating-point operations to train on one token (forward and backward): 6 N + 12 L d T with N the
/// parameters in products, L layers, d the width of attention (heads * head dimension) and T the sequence
/// length (PaLM, Chowdhery et al. 2022, appendix B). Causal attention does half of the second term.
struct FlopCount {
  double full = 0;    ///< what published MFU figures use
  double causal = 0;  ///< what is needed
};
FlopCount flops_per_token(const Model& model, const ModelConfig& config, int64_t seq_length);

}  // namespace trireme
