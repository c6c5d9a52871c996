#pragma once

#include "core/base/idle_fields.h"
#include "core/models/model_config.h"

namespace trireme {

/// Which options of section `model` mean nothing beside which others, in the families that have them.
std::span<const IdleFields<ModelConfig>> idle_model_options();

}  // namespace trireme
