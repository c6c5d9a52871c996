#include "core/ops/reference/rotary.h"

#include <cmath>

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {

void rotary(Context&, const RotaryOptions& options, const Tensor& positions, Tensor& x, bool inverse) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const int64_t half = options.head_dim / 2;
    for (int64_t i = 0; i < x.rows(); ++i) {
      const double position = positions.row<int32_t>(i / positions.cols())[i % positions.cols()];
      for (int64_t pair = 0; pair < half; ++pair) {
        const double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(options.head_dim);
        const double angle = position * std::pow(options.theta, exponent);
        const double cosine = std::cos(angle), sine = inverse ? -std::sin(angle) : std::sin(angle);
        for (int64_t head = 0; head < options.num_heads; ++head) {
          T* base = x.row<T>(i) + head * options.head_dim;
          T& first = base[options.interleaved ? 2 * pair : pair];
          T& second = base[options.interleaved ? 2 * pair + 1 : pair + half];
          const double a = load(first), b = load(second);
          store(first, a * cosine - b * sine);
          store(second, a * sine + b * cosine);
        }
      }
    }
  });
}

}  // namespace trireme::ops::reference
