#include "core/optim/clip.h"

#include <cmath>

namespace trireme {

double clip_factor(double norm, double clip_grad) {
  if (clip_grad == 0) return 1.0;
  return std::fmin(1.0, clip_grad / (norm + 1e-6));
}

}  // namespace trireme
