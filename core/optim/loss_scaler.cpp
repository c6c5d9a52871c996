#include "core/optim/loss_scaler.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/error.h"

namespace trireme {
namespace {

// Gradients that are all zero never overflow: the scale itself must not either.
constexpr double kLargestScale = 0x1p64;

bool is_dynamic(const PrecisionConfig& config) {
  return config.dtype == Precision::kFp16 && config.loss_scale == 0;
}

double first_scale(const PrecisionConfig& config) {
  if (config.dtype != Precision::kFp16) return 1.0;
  return is_dynamic(config) ? config.initial_loss_scale : config.loss_scale;
}

template <class T>
T member(const nlohmann::json& state, const char* key, T minimum, T maximum) {
  const auto found = state.find(key);
  if (found != state.end() && found->is_number()) {
    const T value = found->get<T>();
    if (value >= minimum && value <= maximum) return value;
  }
  throw CheckpointError(fmt::format(
      "state of the loss scaler: {}: given {}, expected a number from {} to {}; the checkpoint is "
      "damaged, restore another one",
      key, found == state.end() ? "nothing" : found->dump(), minimum, maximum));
}

}  // namespace

LossScaler::LossScaler(const PrecisionConfig& config)
    : dynamic_(is_dynamic(config)),
      window_(config.loss_scale_window),
      hysteresis_(config.hysteresis),
      min_scale_(config.min_loss_scale),
      scale_(first_scale(config)),
      hysteresis_left_(config.hysteresis) {}

bool LossScaler::update(bool finite) {
  num_skipped_in_row_ = finite ? 0 : num_skipped_in_row_ + 1;
  if (!finite) ++num_skipped_;
  if (!dynamic_) return finite;
  if (!finite) {
    num_finite_ = 0;
    hysteresis_left_ = std::max<int64_t>(0, hysteresis_left_ - 1);
    if (hysteresis_left_ == 0) scale_ = std::max(scale_ / 2, min_scale_);
  } else if (++num_finite_ == window_) {
    num_finite_ = 0;
    hysteresis_left_ = hysteresis_;
    scale_ = std::min(scale_ * 2, kLargestScale);
  }
  return finite;
}

std::string LossScaler::to_json() const {
  nlohmann::json state = {{"num_skipped", num_skipped_}, {"num_skipped_in_row", num_skipped_in_row_}};
  if (dynamic_) {
    state["scale"] = scale_;
    state["num_finite"] = num_finite_;
    state["hysteresis_left"] = hysteresis_left_;
  }
  return state.dump();
}

LossScaler LossScaler::from_json(const PrecisionConfig& config, const std::string& text) {
  const nlohmann::json state = nlohmann::json::parse(text, nullptr, false);
  if (!state.is_object())
    throw CheckpointError("state of the loss scaler: given no JSON object; restore another checkpoint");
  constexpr int64_t kMost = 1'000'000'000'000;
  LossScaler scaler(config);
  if (state.empty()) return scaler;
  scaler.num_skipped_ = member<int64_t>(state, "num_skipped", 0, kMost);
  scaler.num_skipped_in_row_ = member<int64_t>(state, "num_skipped_in_row", 0, scaler.num_skipped_);
  if (!scaler.dynamic_ || !state.contains("scale")) return scaler;
  // The configuration may have changed since: what it says now holds from the next step on.
  scaler.scale_ = std::max(member(state, "scale", 1.0, kLargestScale), scaler.min_scale_);
  scaler.num_finite_ = std::min(member<int64_t>(state, "num_finite", 0, kMost), scaler.window_ - 1);
  scaler.hysteresis_left_ = std::min(member<int64_t>(state, "hysteresis_left", 0, kMost), scaler.hysteresis_);
  return scaler;
}

}  // namespace trireme
