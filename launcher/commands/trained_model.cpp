#include "launcher/commands/trained_model.h"

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "core/base/error.h"
#include "core/models/registry.h"
#include "core/nn/plain_layer_builder.h"
#include "launcher/config/load.h"
#include "parallel/checkpoint/checkpoint_store.h"

namespace trireme {

namespace fs = std::filesystem;

RunConfig load_run(const std::string& run, const std::vector<std::string>& overrides) {
  return load_run_config(fs::is_directory(run) ? run + "/config.yaml" : run, overrides);
}

std::string find_step(const std::string& path) {
  if (fs::exists(path + "/manifest.json")) return path;
  const std::string steps = fs::is_directory(path + "/checkpoints") ? path + "/checkpoints" : path;
  const std::optional<std::string> newest = fs::is_directory(steps) ? newest_checkpoint(steps) : std::nullopt;
  if (!newest)
    throw CheckpointError(
        fmt::format("{}: no checkpoint here; train the run first, or give --checkpoint", steps));
  return *newest;
}

TrainedModel::TrainedModel(Context& context, const RunConfig& config, const std::string& step_directory) {
  nn::PlainLayerBuilder builder;
  model = make_gpt(context, config.model, builder);
  store = std::make_unique<ParameterStore>(context, ParameterLayout(model->parameters(), config.precision));
  restore_weights(context, step_directory, *store);
}

}  // namespace trireme
