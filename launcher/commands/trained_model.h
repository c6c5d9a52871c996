#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/models/model.h"
#include "core/optim/parameter_store.h"
#include "launcher/config/plan.h"
#include "parallel/checkpoint/initial_weights.h"

namespace trireme {

/// RUN as commands take it: a run file, or the output folder of a run (then its config.yaml).
RunConfig load_run(const std::string& run, const std::vector<std::string>& overrides = {});

/// Help of the option of commands that take the moving averages of weights.
inline constexpr const char* kEmaHelp =
    "The moving averages of the weights (optimizer.ema_decay) instead of the weights";

/// A model with the weights of a checkpoint, on this rank's context.
struct TrainedModel {
  TrainedModel(Context& context, const RunConfig& config, const std::string& step_directory,
               Weights weights = Weights::kTrained);

  std::unique_ptr<Model> model;
  std::unique_ptr<ParameterStore> store;
};

}  // namespace trireme
