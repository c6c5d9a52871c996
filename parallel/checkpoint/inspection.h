#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/manifest.h"

namespace trireme {

/// A line of `trireme checkpoint list`.
struct StepSummary {
  int64_t step = 0;
  std::string path;
  int64_t num_bytes = 0;  ///< of all files but the manifest
  int64_t tokens = 0;
  std::string damage;  ///< of manifest or file sizes (digests are not read); empty: none
};

/// Committed steps, ascending. IoError where the directory cannot be listed.
std::vector<StepSummary> list_checkpoints(const std::string& directory);

/// The step folder that `path` means: itself, or the newest step below it (a run's output folder or its
/// `checkpoints`). CheckpointError (exit 65) where there is none.
std::string find_step(const std::string& path);

/// Reads every byte of a step and returns a line for each damage found; empty where all is sound.
std::vector<std::string> verify_checkpoint(const std::string& step_directory);
/// The same of one file of its manifest.
std::vector<std::string> verify_file(const std::string& step_directory, const checkpoint::Manifest& manifest,
                                     const std::string& name);

}  // namespace trireme
