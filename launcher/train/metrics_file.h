#pragma once

#include <cstdint>
#include <string>

#include "launcher/train/append_file.h"

namespace trireme {

/// metrics.jsonl of a run: one JSON object a line, each written at once, so that a crash leaves at most one
/// partial line, which the next start cuts off.
class MetricsFile {
 public:
  /// Keeps the lines of steps up to `last_step` of what an earlier process wrote, drops the rest. Throws
  /// IoError (exit 73).
  MetricsFile(const std::string& path, int64_t last_step);

  void write(const std::string& json_line);

 private:
  AppendFile file_;
};

}  // namespace trireme
