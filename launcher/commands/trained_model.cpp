#include "launcher/commands/trained_model.h"

#include <filesystem>

#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "launcher/config/load.h"

namespace trireme {

namespace fs = std::filesystem;

RunConfig load_run(const std::string& run, const std::vector<std::string>& overrides) {
  return load_run_config(fs::is_directory(run) ? run + "/config.yaml" : run, overrides);
}

TrainedModel::TrainedModel(Context& context, const RunConfig& config, const std::string& step_directory,
                           Weights weights) {
  nn::PlainLayerBuilder builder;
  model = make_model(config.model, builder);
  store = std::make_unique<ParameterStore>(context, ParameterLayout(model->parameters(), config.precision));
  store->hold(context, model->buffers());
  restore_weights(context, step_directory, *store, weights);
}

}  // namespace trireme
