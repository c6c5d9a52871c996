#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/manifest.h"

namespace trireme::checkpoint {

/// What a checkpoint has otherwise than this run.
struct Differences {
  std::vector<std::string> fatal;  ///< a sentence each
  std::vector<std::string> told;   ///< allowed, but a person should know
};

/// Fatal: precision, architecture, tokenizer, kind of optimizer, data set (unless allowed). Told: the other
/// settings of the optimizer, batch sizes, an allowed change of data. Free: the mesh and everything else.
Differences compare_states(const TrainingState& saved, const TrainingState& expected, bool allow_data_change);

/// Tensors that are missing, unexpected, of another shape or type: a sentence each. `expected`: all that all
/// ranks of this run hold. `weights_only` ignores optimizer state.
std::vector<std::string> compare_tensors(const Manifest& manifest, const std::vector<LogicalTensor>& expected,
                                         bool weights_only);

/// CheckpointError listing every difference, where there is one.
void refuse(const std::string& step_directory, const std::vector<std::string>& differences);

}  // namespace trireme::checkpoint
