#include "tests/support/values.h"

namespace trireme::testing {

Tensor tensor_of(Context& context, const Shape& shape, const std::vector<double>& values, DType dtype) {
  Tensor tensor = Tensor::allocate(context.allocator, shape, dtype, MemoryCategory::kActivations);
  EXPECT_EQ(static_cast<size_t>(tensor.num_elements()), values.size());
  if (dtype == DType::kInt32) {
    for (size_t i = 0; i < values.size(); ++i) tensor.data<int32_t>()[i] = static_cast<int32_t>(values[i]);
    return tensor;
  }
  dispatch_floating(dtype, [&]<class T>(T) {
    for (size_t i = 0; i < values.size(); ++i) {
      if constexpr (std::is_same_v<T, double>) {
        tensor.data<T>()[i] = values[i];
      } else {
        tensor.data<T>()[i] = T(static_cast<float>(values[i]));
      }
    }
  });
  return tensor;
}

std::vector<double> values_of(const Tensor& tensor) {
  std::vector<double> values;
  dispatch_floating(tensor.dtype(), [&]<class T>(T) {
    for (int64_t i = 0; i < tensor.rows(); ++i)
      for (int64_t j = 0; j < tensor.cols(); ++j) {
        if constexpr (std::is_same_v<T, double>) {
          values.push_back(tensor.row<T>(i)[j]);
        } else {
          values.push_back(static_cast<float>(tensor.row<T>(i)[j]));
        }
      }
  });
  return values;
}

void expect_near(const Tensor& tensor, const std::vector<double>& expected, double bound) {
  const std::vector<double> values = values_of(tensor);
  ASSERT_EQ(values.size(), expected.size());
  for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], bound) << "element " << i;
}

}  // namespace trireme::testing
