#include "parallel/checkpoint/training_state.h"

#include <nlohmann/json.hpp>

namespace trireme {
namespace {

constexpr const char* kLoss = "validation_loss";

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

}  // namespace trireme
