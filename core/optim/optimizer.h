#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/optim/parameter_store.h"

namespace trireme {

/// A named tensor of the store's owned elements, in the master type: "exp_avg", "exp_avg_sq",
/// "momentum_buffer".
struct OptimizerState {
  std::string name;
  Tensor flat;
};

/// Updates the owned master weights and values from gradients, range by range.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// `step` counts from 1; gradients are multiplied by gradient_scale (clip factor) as they are read. Bumps
  /// the version of every parameter, owned here or not.
  virtual void step(Context& context, ParameterStore& store, double lr, int64_t step,
                    double gradient_scale) = 0;
  virtual std::vector<OptimizerState>& state() = 0;
};

std::unique_ptr<Optimizer> make_optimizer(Context& context, const OptimizerConfig& config,
                                          const ParameterStore& store);

}  // namespace trireme
