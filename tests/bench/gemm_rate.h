#pragma once

#include "core/models/model_config.h"
#include "core/tensor/context.h"

namespace trireme::bench {

/// Floating-point operations per second of this rank's matrix products on the model's own shapes: forward,
/// input gradient and weight gradient of every linear layer and of the head, for `num_tokens` rows. Each
/// shape at its best of a few calls, weighted by operations. The roofline of a training step.
double measure_gemm_rate(Context& context, const ModelConfig& config, int64_t num_tokens, DType dtype);

}  // namespace trireme::bench
