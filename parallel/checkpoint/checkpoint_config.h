#pragma once

#include "core/base/fields.h"

namespace trireme {

/// What a run does when a save fails.
enum class OnSaveError { kContinue, kStop };

/// Section `checkpoint`.
struct CheckpointConfig {
  int64_t save_interval = 0;  ///< steps; 0: at the end only
  bool save_last = true;
  bool async = true;  ///< write in the background
  OnSaveError on_save_error = OnSaveError::kContinue;
  int64_t max_failed_saves = 10;        ///< in a row
  int64_t save_timeout_seconds = 3600;  ///< of one save
  int64_t keep_last = 3;                ///< committed checkpoints kept; 0: all
  int64_t keep_every = 0;               ///< multiples of this step are kept; 0: none
  int64_t keep_best = 0;                ///< those with the lowest validation loss are kept
  bool allow_data_change = false;
  int64_t restore_buffer_bytes = int64_t{1} << 30;  ///< a rank's, for reading

  /// Whether copies are needed: the last save alone is waited for.
  bool saves_in_background() const { return async && save_interval > 0; }
  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
