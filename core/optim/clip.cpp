#include "core/optim/clip.h"

#include <cmath>

#include "core/ops/reduce.h"

namespace trireme {

double gradient_norm(Context& context, const ParameterStore& store) {
  return std::sqrt(ops::sum_of_squares(context, store.gradients()));
}

double clip_factor(double norm, double clip_grad) {
  if (clip_grad == 0) return 1.0;
  return std::fmin(1.0, clip_grad / (norm + 1e-6));
}

}  // namespace trireme
