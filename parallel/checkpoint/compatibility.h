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
/// ranks of this run hold.
std::vector<std::string> compare_tensors(const Manifest& manifest,
                                         const std::vector<LogicalTensor>& expected);

/// Weights (role model) that are missing, unexpected, or of another shape: a sentence each. Types are free,
/// and so is what the checkpoint has beside weights.
std::vector<std::string> compare_weights(const Manifest& manifest,
                                         const std::vector<LogicalTensor>& expected);

/// What a run that begins with weights of a checkpoint takes.
struct WeightsMatch : Differences {
  std::vector<LogicalTensor> taken;  ///< of `expected`
  std::vector<std::string> left;     ///< names that no pattern matches
};

/// `only`: shell patterns of names; empty: all. Fatal: weights that are taken and missing or of another
/// shape, patterns that match nothing; without patterns also weights that are unexpected, another tokenizer,
/// and values of the section `model` other than dropout and initialisation. With patterns the latter are
/// told.
WeightsMatch match_weights(const Manifest& manifest, const TrainingState& expected_state,
                           const std::vector<LogicalTensor>& expected, const std::vector<std::string>& only);

/// CheckpointError listing every difference, where there is one.
void refuse(const std::string& step_directory, const std::vector<std::string>& differences);

}  // namespace trireme::checkpoint
