// The one table of how far two layouts may be apart.
#include "parallel/verify/difference.h"

namespace trireme::verify {

// Two layouts add the same terms in another order (partial products of split matrices, micro-batches, ranks).
// fp64: what the project promises; measured over 13,000 random layouts: 2.2e-13.
// fp32: 2^-24 in each sum; measured 7.3e-5 where terms cancel (a key head's weights). Losses are sums of like
// terms: 3e-7.
// bf16, fp16: a sum in float32 that comes out a little different is now and then rounded to the neighbouring
// 16-bit value, a step of 2^-8 (2^-11) in one activation, and gradients that cancel show it enlarged.
// Measured 0.297 (3.0e-2) of a tensor's largest gradient, 3.1e-3 (4.2e-4) of the loss, 4.2e-2 (1.8e-3) of the
// norm. That 0.297 is the noise of bf16 itself: there one rank is 0.24 from fp64, and the layout 0.17. fp64
// is the judge of the layout; these find a missing cast or a sum made in 16 bits.
const Bounds& bounds_of(Precision precision) {
  static constexpr Bounds kFp64 = {.gradient = 1e-10, .weight = 1e-10, .loss = 1e-10, .grad_norm = 1e-10};
  static constexpr Bounds kFp32 = {.gradient = 2e-4, .weight = 2e-4, .loss = 1e-6, .grad_norm = 1e-5};
  static constexpr Bounds kBf16 = {.gradient = 0.3, .weight = 0.3, .loss = 1e-2, .grad_norm = 5e-2};
  static constexpr Bounds kFp16 = {.gradient = 5e-2, .weight = 5e-2, .loss = 3e-3, .grad_norm = 1e-2};
  switch (precision) {
    case Precision::kFp64:
      return kFp64;
    case Precision::kFp32:
      return kFp32;
    case Precision::kBf16:
      return kBf16;
    case Precision::kFp16:
      break;
  }
  return kFp16;
}

}  // namespace trireme::verify
