#pragma once

#include "core/models/gpt_config.h"
#include "core/models/model.h"
#include "core/nn/layer_builder.h"

namespace trireme {

// The table of model families: one maker a family, from its resolved config. No registration at run time.

std::unique_ptr<Model> make_gpt(Context& context, const GptConfig& config, nn::LayerBuilder& builder);

}  // namespace trireme
