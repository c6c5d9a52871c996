#pragma once

#include <functional>
#include <string>
#include <vector>

#include "parallel/comm/communicator.h"
#include "parallel/verify/verify_case.h"
#include "parallel/verify/whole_tensors.h"

namespace trireme::verify {

struct StepTrace {
  double loss = 0;
  double grad_norm = 0;
  bool skipped = false;
  WholeTensors::Values gradients;  ///< by name

  bool operator==(const StepTrace&) const = default;
};

/// What all ranks of a run hold together.
struct Trace {
  Precision precision = Precision::kFp64;
  std::vector<std::string> names;  ///< logical tensors, in the order of the forward pass; last the buffers
  std::vector<StepTrace> steps;
  WholeTensors::Values weights;  ///< what the optimizer updates, after the last step
  WholeTensors::Values values;   ///< what the model computes with, buffers too, after the last step
  /// Elements that no rank holds, and copies that are not the same bits.
  std::vector<std::string> problems;

  bool operator==(const Trace&) const = default;  ///< bit by bit, but for the sign of zero
};

/// Called on every rank before the first step and after the last one.
struct RunHooks {
  using Hook = std::function<void(Context& context, Communicator& world, TrainingRank& rank)>;
  Hook before = {};
  Hook after = {};
};

/// Runs a case on the ranks of `world`, which are case.num_ranks. Collective; the trace is rank 0's, the
/// others' is empty. Throws ConfigError for layouts that cannot be.
Trace run_case(const VerifyCase& layout, Communicator& world, const RunHooks& hooks = {});
/// The same on ranks that are threads of this process.
Trace run_on_threads(const VerifyCase& layout, const RunHooks& hooks = {});

}  // namespace trireme::verify
