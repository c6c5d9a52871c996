#pragma once

#include <functional>

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

/// Adds float64 sums up over the ranks that hold the other rows of a batch, in place. Called once in forward
/// and once in backward, on every one of them.
using SumOverRanks = std::function<void(Tensor& sums)>;

/// One BatchNorm. The running tensors are state without gradient, float32 (float64), written in place.
struct BatchNormParameters {
  double eps = 1e-5;
  double momentum = 0.1;
  Parameter* weight = nullptr;  ///< [C]
  Parameter* bias = nullptr;    ///< [C]
  Tensor running_mean = {}, running_variance = {};
  SumOverRanks sum_over_ranks = {};  ///< null: one rank has all rows
};

/// y = batch_norm(x) over the rows of x [rows, C] that count (`counted`: int32 [rows], optional). In training
/// (context.training) over the batch's statistics, and the running ones move once a recorded graph: a part
/// that is recomputed moves them once. Otherwise over the running ones. Keeps x.
Variable batch_norm(Context& context, const BatchNormParameters& parameters, const Variable& x,
                    const Tensor& counted);

}  // namespace trireme
