#pragma once

#include <string>
#include <vector>

#include "core/optim/parameter_store.h"
#include "parallel/checkpoint/training_state.h"
#include "parallel/comm/communicator.h"

namespace trireme {

/// Weights of a step with which a run of its own begins (training.initialize_from).
struct InitialWeights {
  std::string step_directory;
  /// Names of the tensors that are taken, as shell patterns ("layers.*"); empty: all, and the model must be
  /// the same. What no pattern matches keeps its initial value.
  std::vector<std::string> only;
  int64_t buffer_bytes = 0;  ///< for reading and conversion
};

/// Fills values and masters of `parameters` from the step's, bit for bit where precisions are the same; else
/// from its masters, or its model weights where it has no others, converted to the types of this run. Any
/// layout on both sides. Optimizer state is not read. Bumps the version of every parameter. Collective;
/// returns the step's state. Errors, the same on every rank: CheckpointError (exit 65) where the step is
/// damaged, or listing everything that does not fit: a tensor that is missing or has another shape, a pattern
/// that matches none; without patterns also what this model lacks, another tokenizer, and every other value
/// of the section `model` that changes the function.
TrainingState initialize_weights(Context& context, Communicator& world, const InitialWeights& weights,
                                 const TrainingState& expected, ParameterStore& parameters);

/// The weights as training left them, or their moving averages (optimizer.ema_decay).
enum class Weights { kTrained, kAverages };

/// The same for one rank that holds the whole model, as evaluation and generation do; names and shapes alone
/// are compared. CheckpointError too where the step holds no averages and they are asked for.
void restore_weights(Context& context, const std::string& step_directory, ParameterStore& parameters,
                     Weights weights = Weights::kTrained);

}  // namespace trireme
