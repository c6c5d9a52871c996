#pragma once

#include "core/autograd/functions/norm.h"
#include "core/ops/dropout.h"

namespace trireme {

/// The residual stream and its normalised copy; both are used further on, and backward adds the norm's
/// gradient to the stream's in place. Keeps sum and the statistics; normalized has a recipe from sum.
struct ResidualNormOutput {
  Variable sum, normalized;
};

/// sum = x, normalized = norm(x): the entry of a pre-norm layer. Unfused composition: x, and norm.
ResidualNormOutput fork_norm(Context& context, const NormParameters& parameters, const Variable& x);

/// sum = residual + dropout(branch), normalized = norm(sum): the join between two parts of a pre-norm layer.
/// Unfused composition: dropout_add, then norm.
ResidualNormOutput residual_norm(Context& context, const NormParameters& parameters,
                                 const ops::DropoutOptions& dropout, const Variable& branch,
                                 const Variable& residual);

}  // namespace trireme
