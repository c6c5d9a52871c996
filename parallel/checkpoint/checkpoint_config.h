#pragma once

#include "core/base/fields.h"

namespace trireme {

/// Section `checkpoint`.
struct CheckpointConfig {
  int64_t save_interval = 0;  ///< steps; 0: at the end only
  bool save_last = true;
  int64_t keep_last = 3;  ///< committed checkpoints kept; 0: all
  bool allow_data_change = false;
  int64_t restore_buffer_bytes = int64_t{1} << 30;  ///< a rank's, for reading

  void fields(FieldVisitor& visitor);
};

}  // namespace trireme
