#include "core/models/registry.h"

#include "core/models/gpt.h"

namespace trireme {

std::unique_ptr<Model> make_gpt(Context&, const GptConfig& config, nn::LayerBuilder& builder) {
  return std::make_unique<Gpt>(config, builder);
}

}  // namespace trireme
