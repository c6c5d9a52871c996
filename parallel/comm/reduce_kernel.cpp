#include "parallel/comm/reduce_kernel.h"

#include <omp.h>

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "core/base/error.h"

namespace trireme::comm {
namespace {

constexpr int64_t kChunk = 4096;  // elements; the accumulator stays in the first-level cache

template <class T>
struct Accumulator {
  using type = std::conditional_t<std::is_integral_v<T>, int64_t, float>;
};
template <>
struct Accumulator<double> {
  using type = double;
};

template <class T, class A, class Combine>
void reduce_chunk(std::span<std::byte* const> sources, std::span<std::byte* const> destinations,
                  int64_t begin, int64_t length, Combine combine) {
  alignas(64) A total[kChunk];
  const T* first = reinterpret_cast<const T*>(sources[0]) + begin;
  for (int64_t i = 0; i < length; ++i) total[i] = static_cast<A>(first[i]);
  for (size_t s = 1; s < sources.size(); ++s) {
    const T* source = reinterpret_cast<const T*>(sources[s]) + begin;
    for (int64_t i = 0; i < length; ++i) total[i] = combine(total[i], static_cast<A>(source[i]));
  }
  T* written = reinterpret_cast<T*>(destinations[0]) + begin;
  for (int64_t i = 0; i < length; ++i) written[i] = static_cast<T>(total[i]);
  for (size_t d = 1; d < destinations.size(); ++d)
    std::memcpy(reinterpret_cast<T*>(destinations[d]) + begin, written,
                static_cast<size_t>(length) * sizeof(T));
}

template <class T>
void reduce_typed(ReduceOp op, std::span<std::byte* const> sources, std::span<std::byte* const> destinations,
                  int64_t count) {
  using A = typename Accumulator<T>::type;
  const int64_t num_chunks = (count + kChunk - 1) / kChunk;
  const auto run = [&](int64_t chunk) {
    const int64_t begin = chunk * kChunk;
    const int64_t length = std::min(kChunk, count - begin);
    switch (op) {
      case ReduceOp::kSum:
        return reduce_chunk<T, A>(sources, destinations, begin, length, [](A a, A b) { return a + b; });
      case ReduceOp::kMax:  // written so that a NaN in either is kept
        return reduce_chunk<T, A>(sources, destinations, begin, length,
                                  [](A a, A b) { return a > b || a != a ? a : b; });
      case ReduceOp::kMin:
        return reduce_chunk<T, A>(sources, destinations, begin, length,
                                  [](A a, A b) { return a < b || a != a ? a : b; });
    }
  };
  if (omp_get_max_threads() == 1 || num_chunks < 8) {
    for (int64_t chunk = 0; chunk < num_chunks; ++chunk) run(chunk);
  } else {
#pragma omp parallel for schedule(static)
    for (int64_t chunk = 0; chunk < num_chunks; ++chunk) run(chunk);
  }
}

}  // namespace

void reduce(DType dtype, ReduceOp op, std::span<std::byte* const> sources,
            std::span<std::byte* const> destinations, int64_t count) {
  switch (dtype) {
    case DType::kFloat64:
      return reduce_typed<double>(op, sources, destinations, count);
    case DType::kFloat32:
      return reduce_typed<float>(op, sources, destinations, count);
    case DType::kBFloat16:
      return reduce_typed<bfloat16>(op, sources, destinations, count);
    case DType::kFloat16:
      return reduce_typed<float16>(op, sources, destinations, count);
    case DType::kInt64:
      return reduce_typed<int64_t>(op, sources, destinations, count);
    case DType::kInt32:
      return reduce_typed<int32_t>(op, sources, destinations, count);
    case DType::kUInt16:
      return reduce_typed<uint16_t>(op, sources, destinations, count);
    case DType::kUInt8:
      return reduce_typed<uint8_t>(op, sources, destinations, count);
  }
}

}  // namespace trireme::comm
