#pragma once

namespace trireme {

/// What gradients are multiplied by so that their norm is at most clip_grad (Pascanu et al. 2013; as in
/// PyTorch: clip_grad / (norm + 1e-6), at most 1). clip_grad 0: 1.
double clip_factor(double norm, double clip_grad);

}  // namespace trireme
