#pragma once

#include "core/tensor/context.h"

namespace trireme {

/// The best rate of a matrix product (1024 x 1024 x 1024) of this type on this rank's threads, in TFLOP/s.
/// Takes 0.3 s or ten products, whichever is longer: neighbours on the host disturb single ones.
double measure_peak_tflops(Context& context, DType dtype);

}  // namespace trireme
