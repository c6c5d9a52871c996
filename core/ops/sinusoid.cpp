#include "core/ops/sinusoid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/error.h"
#include "core/ops/checks.h"
#include "core/ops/reference/element.h"

namespace trireme::ops {
namespace {

constexpr double kBase = 10000.0;

/// Logarithm of kBase that the wavelength of pair i has.
double exponent(SinusoidForm form, int64_t i, int64_t half) {
  if (form == SinusoidForm::kTensor2Tensor)
    return static_cast<double>(i) / static_cast<double>(std::max<int64_t>(half - 1, 1));
  return static_cast<double>(i) / static_cast<double>(half);
}

/// `position_of` gives the position of a row.
template <class PositionOf>
void write_rows(SinusoidForm form, Tensor& rows, PositionOf&& position_of) {
  check_floating("sinusoid", "rows", rows);
  if (rows.cols() % 2 != 0)
    throw ShapeError(fmt::format("sinusoids are pairs: expected an even width, given {}", rows.cols()));
  const int64_t half = rows.cols() / 2;
  const bool interleaved = form == SinusoidForm::kInterleaved;
  std::vector<double> frequency(static_cast<size_t>(half));
  for (int64_t i = 0; i < half; ++i)
    frequency[static_cast<size_t>(i)] = std::pow(kBase, -exponent(form, i, half));
  dispatch_floating(rows.dtype(), [&]<class T>(T) {
    for (int64_t row = 0; row < rows.rows(); ++row)
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position_of(row)) * frequency[static_cast<size_t>(i)];
        reference::store(rows.row<T>(row)[interleaved ? 2 * i : i], std::sin(angle));
        reference::store(rows.row<T>(row)[interleaved ? 2 * i + 1 : half + i], std::cos(angle));
      }
  });
}

}  // namespace

void sinusoid_table(SinusoidForm form, Tensor& table) {
  write_rows(form, table, [](int64_t row) { return row; });
}

void sinusoid_rows(SinusoidForm form, const Tensor& positions, Tensor& rows) {
  constexpr const char* kOp = "sinusoid_rows";
  check_dtype(kOp, "positions", positions, DType::kInt32);
  check_contiguous(kOp, "positions", positions);
  if (rows.rows() != positions.num_elements())
    throw_shape_error(kOp, "rows", "has shape " + to_string(rows.shape()),
                      fmt::format("{} rows, one a position", positions.num_elements()));
  write_rows(form, rows, [&](int64_t row) { return positions.data<int32_t>()[row]; });
}

}  // namespace trireme::ops
