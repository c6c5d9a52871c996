#include "core/ops/sinusoid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/error.h"
#include "core/tensor/dtype_dispatch.h"

namespace trireme::ops {
namespace {

constexpr double kBase = 10000.0;

/// Logarithm of kBase that the wavelength of pair i has.
double exponent(SinusoidForm form, int64_t i, int64_t half) {
  if (form == SinusoidForm::kTensor2Tensor)
    return static_cast<double>(i) / static_cast<double>(std::max<int64_t>(half - 1, 1));
  return static_cast<double>(i) / static_cast<double>(half);
}

}  // namespace

void sinusoid_table(SinusoidForm form, Tensor& table) {
  if (table.cols() % 2 != 0)
    throw ShapeError(fmt::format("sinusoids are pairs: expected an even width, given {}", table.cols()));
  const int64_t half = table.cols() / 2;
  const bool interleaved = form == SinusoidForm::kInterleaved;
  dispatch_floating(table.dtype(), [&]<class T>(T) {
    for (int64_t position = 0; position < table.rows(); ++position) {
      T* row = table.row<T>(position);
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position) * std::pow(kBase, -exponent(form, i, half));
        const auto set = [&](int64_t column, double value) {
          if constexpr (std::is_same_v<T, double>)
            row[column] = value;
          else
            row[column] = static_cast<T>(static_cast<float>(value));
        };
        set(interleaved ? 2 * i : i, std::sin(angle));
        set(interleaved ? 2 * i + 1 : half + i, std::cos(angle));
      }
    }
  });
}

}  // namespace trireme::ops
