#include "tests/support/op_case.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "core/base/philox.h"
#include "tests/support/op_cases/op_cases.h"

namespace trireme::testing {
namespace {

/// Element (i, j) as double.
double element(const Tensor& tensor, int64_t i, int64_t j) {
  return dispatch_floating(tensor.dtype(), [&]<class T>(T) -> double {
    if constexpr (std::is_same_v<T, double>) {
      return tensor.row<T>(i)[j];
    } else {
      return static_cast<float>(tensor.row<T>(i)[j]);
    }
  });
}

/// The nearest value that `dtype` holds.
double rounded_to(DType dtype, double value) {
  return dispatch_floating(dtype, [&]<class T>(T) -> double {
    if constexpr (std::is_same_v<T, double>) {
      return value;
    } else {
      return static_cast<float>(T(static_cast<float>(value)));
    }
  });
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> cases = [] {
    std::vector<OpCase> all;
    for (auto family :
         {gemm_cases, attention_cases, scored_attention_cases, disagreement_cases, batch_norm_cases,
          complex_embedding_cases, recurrent_cases, cross_entropy_cases, elementwise_cases, reduce_cases,
          norm_cases, activation_cases, rotary_cases, embedding_cases, dropout_cases, optimizer_cases}) {
      std::vector<OpCase> some = family();
      std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    return all;
  }();
  return cases;
}

double relative_error(const Tensor& a, const Tensor& b, double floor) {
  if (a.shape() != b.shape()) return std::numeric_limits<double>::infinity();
  double difference = 0.0, largest = floor;
  for (int64_t i = 0; i < a.rows(); ++i)
    for (int64_t j = 0; j < a.cols(); ++j) {
      const double x = element(a, i, j), y = element(b, i, j);
      if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::infinity();
      if (std::isfinite(y)) largest = std::max(largest, std::abs(y));
      if (x != y) difference = std::max(difference, std::abs(x - y));  // equal infinities pass
    }
  return difference / largest;
}

Tensor random_integers(Context& context, const Shape& shape, int32_t begin, int32_t end, uint64_t seed) {
  Tensor tensor = Tensor::allocate(context.allocator, shape, DType::kInt32, MemoryCategory::kActivations);
  const RandomKey key = RandomKey::make(seed, RandomPurpose::kSynthetic, 0, 1);
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<int32_t>()[i] =
        begin + static_cast<int32_t>(philox(key, {static_cast<uint32_t>(i), 0, 0, 0})[0] %
                                     static_cast<uint32_t>(end - begin));
  return tensor;
}

Tensor random_tensor(Context& context, const Shape& shape, DType dtype, DType storage, uint64_t seed,
                     bool padded, double std) {
  Tensor tensor =
      padded ? Tensor::allocate_padded(context.allocator, shape, storage, MemoryCategory::kActivations)
             : Tensor::allocate(context.allocator, shape, storage, MemoryCategory::kActivations);
  const RandomKey key = RandomKey::make(seed, RandomPurpose::kSynthetic, 0, 0);
  dispatch_floating(storage, [&]<class T>(T) {
    for (int64_t i = 0; i < tensor.rows(); ++i)
      for (int64_t j = 0; j < tensor.cols(); ++j) {
        const auto bits = philox(key, {static_cast<uint32_t>(j / 2), static_cast<uint32_t>(i), 0, 0});
        const double value = std * normal_from_bits(bits[0], bits[1])[static_cast<size_t>(j % 2)];
        const double kept = rounded_to(dtype, value);
        if constexpr (std::is_same_v<T, double>) {
          tensor.row<T>(i)[j] = kept;
        } else {
          tensor.row<T>(i)[j] = T(static_cast<float>(kept));
        }
      }
  });
  return tensor;
}

}  // namespace trireme::testing
