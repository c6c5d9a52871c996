#include "core/ops/reference/doubles.h"

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {
std::vector<double> load_doubles(const Tensor& tensor) {
  std::vector<double> values(static_cast<size_t>(tensor.num_elements()));
  dispatch_floating(tensor.dtype(), [&]<class T>(T) {
    double* next = values.data();
    for (int64_t row = 0; row < tensor.rows(); ++row) {
      const T* source = tensor.row<T>(row);
      for (int64_t col = 0; col < tensor.cols(); ++col) *next++ = load(source[col]);
    }
  });
  return values;
}

void store_doubles(const std::vector<double>& values, Tensor& tensor) {
  dispatch_floating(tensor.dtype(), [&]<class T>(T) {
    const double* next = values.data();
    for (int64_t row = 0; row < tensor.rows(); ++row) {
      T* target = tensor.row<T>(row);
      for (int64_t col = 0; col < tensor.cols(); ++col) store(target[col], *next++);
    }
  });
}

}  // namespace trireme::ops::reference
