#include "core/ops/reference/gemm.h"

#include "core/ops/reference/doubles.h"

namespace trireme::ops::reference {
namespace {

std::vector<double> transposed(const std::vector<double>& matrix, int64_t rows, int64_t cols) {
  std::vector<double> result(matrix.size());
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col) result[col * rows + row] = matrix[row * cols + col];
  return result;
}

}  // namespace

void gemm(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  const int64_t m = c.size(0), n = c.size(1), k = a.size(options.transpose_a ? 0 : 1);
  std::vector<double> a_MK = load_doubles(a), b_KN = load_doubles(b);
  if (options.transpose_a) a_MK = transposed(a_MK, k, m);
  if (options.transpose_b) b_KN = transposed(b_KN, n, k);
  std::vector<double> c_MN = options.accumulate ? load_doubles(c) : std::vector<double>(m * n, 0.0);
  const std::vector<double> bias = options.bias ? load_doubles(*options.bias) : std::vector<double>(n, 0.0);

#pragma omp parallel for num_threads(context.num_threads)
  for (int64_t row = 0; row < m; ++row) {
    double* sums = &c_MN[row * n];
    for (int64_t col = 0; col < n; ++col) sums[col] += bias[col];
    for (int64_t inner = 0; inner < k; ++inner) {
      const double factor = a_MK[row * k + inner];
      const double* values = &b_KN[inner * n];
      for (int64_t col = 0; col < n; ++col) sums[col] += factor * values[col];
    }
  }
  store_doubles(c_MN, c);
}

}  // namespace trireme::ops::reference
