#pragma once

#include <string>
#include <vector>

#include "parallel/step/training_rank.h"

namespace trireme::testing {

/// Puts a run's logical tensors together from the parts that its ranks hold. All calls are collective over
/// the world; every rank gets the same. A part that several ranks hold must be the same bits on all of them,
/// and every element must be held by one: the test fails otherwise.
class GlobalTensors {
 public:
  GlobalTensors(Context& context, Communicator& world, TrainingRank& rank);

  /// In the order of the model's forward pass.
  const std::vector<std::string>& names() const { return names_; }
  /// As the optimizer reads them: after a step's reductions.
  std::vector<std::vector<double>> gradients();
  /// Master weights.
  std::vector<std::vector<double>> weights();

 private:
  /// What this rank owns of a flat tensor of all elements.
  Tensor owned_part(const Tensor& flat);
  std::vector<std::vector<double>> gather(const Tensor& owned_flat);

  Context& context_;
  Communicator& world_;
  TrainingRank& rank_;
  std::vector<std::string> names_;
  std::vector<Shape> shapes_;
};

}  // namespace trireme::testing
