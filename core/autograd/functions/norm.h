#pragma once

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"

namespace trireme {

enum class NormKind { kLayerNorm, kRmsNorm };

/// The trained part and the kind of one normalisation over the last dimension. RMSNorm has no bias.
struct NormParameters {
  NormKind kind = NormKind::kLayerNorm;
  double eps = 1e-5;
  Parameter* weight = nullptr;  ///< [cols]
  Parameter* bias = nullptr;    ///< [cols], optional
};

/// y = norm(x). Keeps x and the statistics; y has a recipe from x.
Variable norm(Context& context, const NormParameters& parameters, const Variable& x);

/// The two halves, for Functions that have a norm inside. `mean` stays undefined for RMSNorm.
struct NormStatistics {
  Tensor mean, rstd;
};
Tensor norm_forward(Context& context, const NormParameters& parameters, const Tensor& x,
                    NormStatistics& statistics);
/// Runs norm_forward again.
Recipe norm_recipe(const NormParameters& parameters, const Tensor& x);
/// Writes d_x (or adds to it) and contributes to the parameters' gradients: one kernel makes both, so there
/// is nothing to leave for later.
void norm_backward(Context& context, const NormParameters& parameters, const Tensor& d_y, const Tensor& x,
                   const NormStatistics& statistics, Tensor& d_x, bool accumulate_d_x);

}  // namespace trireme
