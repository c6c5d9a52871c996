#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// How sines and cosines of a position p lie in a row of D numbers, i from 0 to D/2 - 1.
enum class SinusoidForm {
  kInterleaved,   ///< sin at 2i, cos at 2i + 1 of p / 10000^(2i / D) (Vaswani et al. 2017, section 3.5)
  kConcatenated,  ///< the same sines first, then the cosines (Marian)
  kTensor2Tensor  ///< so, with wavelengths 10000^(i / (D/2 - 1)) (tensor2tensor, get_timing_signal_1d)
};

/// Row p of table [positions, D] becomes the sinusoids of position p, computed in double. D is even; throws
/// ShapeError.
void sinusoid_table(SinusoidForm form, Tensor& table);

/// Row i of rows [n, D] becomes those of positions[i] (int32, any shape), which may be negative: distances.
void sinusoid_rows(SinusoidForm form, const Tensor& positions, Tensor& rows);

}  // namespace trireme::ops
