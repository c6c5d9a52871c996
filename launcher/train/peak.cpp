#include "launcher/train/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "core/ops/gemm.h"

namespace trireme {

double measure_peak_tflops(Context& context, DType dtype) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t kSize = 1024;
  Tensor a = context.workspace({kSize, kSize}, dtype), b = context.workspace({kSize, kSize}, dtype),
         c = context.workspace({kSize, kSize}, dtype);
  std::memset(a.raw(), 0, static_cast<size_t>(a.num_bytes()));
  std::memset(b.raw(), 0, static_cast<size_t>(b.num_bytes()));
  double best = 1e30;
  const auto begin = Clock::now();
  for (int i = 0; i < 10 || (i < 40 && Clock::now() - begin < std::chrono::milliseconds(300)); ++i) {
    const auto start = Clock::now();
    ops::gemm(context, a, b, c, {.transpose_b = true});
    best = std::min(best, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return 2.0 * kSize * kSize * kSize / best * 1e-12;
}

}  // namespace trireme
