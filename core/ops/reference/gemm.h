#pragma once

#include "core/ops/gemm.h"

namespace trireme::ops::reference {

void gemm(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options);

}  // namespace trireme::ops::reference
