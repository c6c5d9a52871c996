#pragma once

#include <functional>

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

/// A part of a model, from its inputs to its outputs. What it captures must live until backward.
using RecomputedPart = std::function<std::vector<Variable>(Context&, const std::vector<Variable>&)>;

/// Activation recomputation (Chen et al. 2016, "Training deep nets with sublinear memory cost"): runs `part`
/// without a graph and keeps its inputs only; backward runs it again with a graph and goes through that.
/// Random numbers are counter-based, so the second run gives the same bits. `parameters` are all those the
/// part uses: they stay announced until its backward has ended.
std::vector<Variable> recompute(Context& context, const std::vector<Parameter*>& parameters,
                                RecomputedPart part, const std::vector<Variable>& inputs);

}  // namespace trireme
