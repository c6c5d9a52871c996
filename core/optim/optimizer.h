#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/optim/parameter_store.h"

namespace trireme {

/// A named tensor of the store's owned elements, in the master type. Names are PyTorch's.
struct OptimizerState {
  std::string name;
  Tensor flat;
};

/// The states that a configuration keeps, in order: "exp_avg" and "exp_avg_sq" (adamw, adam), "sum"
/// (adagrad), "square_avg", "grad_avg" (rmsprop, where centered), "momentum_buffer" (rmsprop and sgd, with
/// momentum); last, where ema_decay is not 0, "ema": the moving average of the weights.
std::vector<std::string> optimizer_state_names(const OptimizerConfig& config);

/// Updates the owned master weights and values from gradients, range by range.
class Optimizer {
 public:
  Optimizer(Context& context, const OptimizerConfig& config, const ParameterStore& store);

  /// `step` counts from 1; gradients are multiplied by gradient_scale (clip factor) as they are read. Bumps
  /// the version of every parameter, owned here or not.
  void step(Context& context, ParameterStore& store, double lr, int64_t step, double gradient_scale);
  std::vector<OptimizerState>& state() { return state_; }

  /// The moving average of the owned weights, or null. As PyTorch's AveragedModel: the weights themselves
  /// after step 1.
  Tensor* average();

 private:
  OptimizerConfig config_;
  std::vector<OptimizerState> state_;
};

/// Exchanges the owned weights with their moving average and writes the values that the model computes with;
/// once more, and every bit is as before. Under ZeRO the other ranks' values are to be gathered after each.
/// Bumps the version of every parameter.
void exchange_average(Context& context, ParameterStore& store, Tensor& average);

std::unique_ptr<Optimizer> make_optimizer(Context& context, const OptimizerConfig& config,
                                          const ParameterStore& store);

}  // namespace trireme
