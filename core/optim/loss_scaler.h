#pragma once

#include <cstdint>
#include <string>

#include "core/optim/optimizer_config.h"

namespace trireme {

/// What the loss is multiplied by, so that small gradients do not vanish in float16 (Micikevicius et al.
/// 2018, "Mixed precision training", section 3.2). The rule is that of Megatron-LM's DynamicGradScaler:
/// - after `loss_scale_window` finite steps in a row the scale doubles, up to 2^64, and the hysteresis is
/// full
///   again;
/// - a step that is not finite is skipped; from the `hysteresis`-th one on since the last growth (finite
/// steps
///   between them do not matter) each halves the scale, down to `min_loss_scale`.
/// With `loss_scale` > 0 the scale is that number, and with another type than fp16 it is 1: it stays, but
/// steps are skipped and counted all the same. All ranks must be told the same.
class LossScaler {
 public:
  explicit LossScaler(const PrecisionConfig& config);
  /// Goes on where to_json() was called. "{}" or a state without a scale (saved with a constant one):
  /// counters only, the scale starts anew. Throws CheckpointError.
  static LossScaler from_json(const PrecisionConfig& config, const std::string& text);

  double scale() const { return scale_; }
  /// Ends a step: whether to apply it. `finite`: the loss and all gradients of the global batch are.
  bool update(bool finite);

  int64_t num_skipped() const { return num_skipped_; }                ///< of the whole run
  int64_t num_skipped_in_row() const { return num_skipped_in_row_; }  ///< up to now, without a good step

  std::string to_json() const;

 private:
  bool dynamic_;
  int64_t window_;
  int64_t hysteresis_;
  double min_scale_;
  double scale_;
  int64_t num_finite_ = 0;   ///< in a row, since the last growth
  int64_t hysteresis_left_;  ///< steps that may still fail before the scale falls
  int64_t num_skipped_ = 0;
  int64_t num_skipped_in_row_ = 0;
};

}  // namespace trireme
