#pragma once

#include <string>
#include <vector>

#include "parallel/step/training_rank.h"

namespace trireme::verify {

/// Puts a run's logical tensors together from the parts that its ranks hold. The three calls are collective
/// over the world; rank 0 gets the tensors, one a name, the others nothing. What is wrong with the parts goes
/// to problems(): an element that no rank holds, or that differs in a bit between two that do.
class WholeTensors {
 public:
  using Values = std::vector<std::vector<double>>;

  WholeTensors(Context& context, TrainingRank& rank);

  /// Parameters, then buffers, each in the order of the model's forward pass.
  const std::vector<std::string>& names() const { return names_; }
  /// Of the parameters, as the optimizer reads them, after a step's reductions: of the owned elements.
  Values gradients();
  /// Of the parameters, what the optimizer updates: master weights of the owned elements.
  Values weights();
  /// What the model computes with, buffers too, on every rank that holds it.
  Values values();
  const std::vector<std::string>& problems() const { return problems_; }

 private:
  /// Parts on their way to rank 0: number of the tensor, offset, extent and elements, one after another.
  using Message = std::vector<double>;

  Values gather_owned(const Tensor& flat, const char* what);
  /// The first `count` tensors.
  Values gather(const Message& mine, size_t count, const char* what);
  void append(Message& message, const std::string& name, const Shape& offset, const Shape& extent,
              const Tensor& part) const;

  Context& context_;
  TrainingRank& rank_;
  std::vector<std::string> names_;
  std::vector<Shape> shapes_;
  size_t num_trained_;  ///< the first ones
  std::vector<std::string> problems_;
};

}  // namespace trireme::verify
