#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/exit_code.h"
#include "core/io/safetensors.h"

namespace trireme {

// What the larger subcommands of `trireme checkpoint` do; checkpoint.cpp has their options.

struct ExportOptions {
  std::string step;
  std::string output;
  std::string dtype;  ///< fp32, bf16, fp16; empty: the run's
  int64_t max_file_bytes = SafetensorsWriter::kUsualFileBytes;
};
/// Writes a folder that from_pretrained() of Transformers loads.
ExitCode export_checkpoint(const ExportOptions& options);

struct ImportOptions {
  std::string input;
  std::string output;
};
/// Makes the output folder of a run, with a checkpoint of step 0, from a folder of Transformers.
ExitCode import_checkpoint(const ImportOptions& options);

struct AverageOptions {
  std::vector<std::string> paths;  ///< step folders; one folder of steps with `last`
  int64_t last = 0;                ///< so many newest steps; 0: what `paths` names
  bool ema = false;                ///< their moving averages instead of their weights
  std::string output;
};
/// Makes the output folder of a run, with a checkpoint of the mean of the weights.
ExitCode average_checkpoints(const AverageOptions& options);

}  // namespace trireme
