#include "parallel/checkpoint/training_state.h"

#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr const char* kLoss = "validation_loss";
constexpr const char* kEarlyStopping = "early_stopping";

}  // namespace

std::optional<double> validation_loss_of(const TrainingState& state) {
  const nlohmann::json schedule = nlohmann::json::parse(state.schedule_json, nullptr, false);
  if (!schedule.is_object() || !schedule.contains(kLoss) || !schedule[kLoss].is_number()) return std::nullopt;
  return schedule[kLoss].get<double>();
}

void set_validation_loss(TrainingState& state, double loss) {
  nlohmann::json schedule = nlohmann::json::parse(state.schedule_json);
  schedule[kLoss] = loss;
  state.schedule_json = schedule.dump();
}

std::optional<EarlyStoppingProgress> early_stopping_of(const TrainingState& state) {
  const nlohmann::json schedule = nlohmann::json::parse(state.schedule_json, nullptr, false);
  if (!schedule.is_object() || !schedule.contains(kEarlyStopping)) return std::nullopt;
  const nlohmann::json& saved = schedule[kEarlyStopping];
  try {
    EarlyStoppingProgress progress{saved.at("metric"), saved.at("best"), saved.at("best_step"),
                                   saved.at("num_without_improvement")};
    if (progress.best_step >= 0 && progress.num_without_improvement >= 0) return progress;
  } catch (const nlohmann::json::exception&) {
  }
  throw CheckpointError(
      "state of early stopping: given " + saved.dump() +
      ", expected metric, best, best_step and num_without_improvement; the checkpoint is damaged, "
      "restore another one");
}

void set_early_stopping(TrainingState& state, const EarlyStoppingProgress& progress) {
  nlohmann::json schedule = nlohmann::json::parse(state.schedule_json);
  schedule[kEarlyStopping] = {{"metric", progress.metric},
                              {"best", progress.best},
                              {"best_step", progress.best_step},
                              {"num_without_improvement", progress.num_without_improvement}};
  state.schedule_json = schedule.dump();
}

}  // namespace trireme
