#pragma once

#include <string>
#include <vector>

#include "core/tensor/context.h"
#include "parallel/checkpoint/training_state.h"

namespace trireme {

/// The mean of several checkpoints' weights ("checkpoint averaging", Vaswani et al. 2017, section 6.1;
/// Izmailov et al. 2018), or of the moving averages that they hold.
struct AveragedSteps {
  std::vector<std::string> steps;  ///< step folders, at least one, of any layouts
  bool moving_averages = false;    ///< of optimizer.ema_decay, instead of the weights
};

/// Commits `<directory>/step-<the last one's step>` with the means alone, a logical tensor after the other:
/// master weights where there are some, buffers like weights, summed in float64, rounded once to float32
/// (float64 where the weights are). No training state but step and configuration of the last one:
/// training.initialize_from, evaluation and export take it, training.resume does not. Returns its state.
/// Errors: CheckpointError (exit 65) where a step is damaged, holds no moving average, or is of another model
/// or tokenizer, every difference listed; those of write_weights_step.
TrainingState average_steps(Context& context, const std::string& directory, const AveragedSteps& what);

/// The last `count` of the steps in `directory`, ascending. CheckpointError where there are fewer or one is
/// damaged.
std::vector<std::string> last_steps(const std::string& directory, int64_t count);

}  // namespace trireme
