#pragma once

#include <span>

#include "parallel/comm/communicator.h"

namespace trireme::comm {

/// Element by element, combines `sources` in their order (source 0 first) and writes the result to every one
/// of `destinations`, which may be the sources themselves. float32 and float64 add in their own type,
/// bfloat16 and float16 in float32 with one rounding at the end, integers in 64 bits. Uses the calling
/// thread's OpenMP threads; the result does not depend on how many.
void reduce(DType dtype, ReduceOp op, std::span<std::byte* const> sources,
            std::span<std::byte* const> destinations, int64_t count);

}  // namespace trireme::comm
