#pragma once

#include <string>
#include <vector>

#include "core/optim/optimizer_config.h"
#include "parallel/verify/trace.h"

namespace trireme::verify {

/// How far a run is from the reference. The error of a tensor is max|a - b| / max(max|b|, 1e-3 x the model's
/// largest max|b|), so that tensors which ought to be zero count by what the others are; that of a number is
/// relative. NaN counts as infinite. Below fp64 key biases count as equal: softmax does not see them, so
/// their true gradient is zero and what is there is rounding noise.
struct Difference {
  struct OfTensor {
    std::string name;
    double gradient = 0;  ///< the largest of the steps
    int64_t step = 0;     ///< where that was, from 1
    double weight = 0;    ///< after the last step: the larger of master weights and values; of a buffer, too
  };
  std::vector<OfTensor> tensors;  ///< in the order of the forward pass
  double loss = 0;                ///< the largest of the steps
  double grad_norm = 0;
  bool same_steps_skipped = true;
  std::vector<std::string> problems;  ///< of the run alone: Trace::problems

  /// The tensor with the largest error.
  const OfTensor& worst_gradient() const;
  const OfTensor& worst_weight() const;
};

/// Of runs in one precision, or in two: what rounding does. Over the first `num_steps` steps; weights are
/// compared when these are all (0: all).
Difference compare(const Trace& trace, const Trace& reference, int64_t num_steps = 0);

/// The largest errors between two layouts.
struct Bounds {
  double gradient;
  double weight;
  double loss;
  double grad_norm;
};
/// What any layout must keep over two steps, in fp64; and in another precision, where one rank is `rounding`
/// away from fp64.
Bounds fp64_bounds();
Bounds bounds_of(Precision precision, const Difference& rounding);

/// What is beyond the bounds, a sentence each; empty: the layouts agree. Of the gradients that disagree it
/// names the one that backward makes first: what goes wrong there spreads to all that are made later.
std::vector<std::string> disagreements(const Difference& difference, const Bounds& bounds);

}  // namespace trireme::verify
