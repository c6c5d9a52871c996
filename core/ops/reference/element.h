#pragma once

#include <type_traits>

#include "core/tensor/dtype.h"

namespace trireme::ops::reference {

/// Reference kernels read every element as double, compute in double and round once when they store.
template <class T>
double load(T value) {
  if constexpr (std::is_same_v<T, double>) {
    return value;
  } else {
    return static_cast<float>(value);
  }
}

template <class T>
void store(T& target, double value) {
  if constexpr (std::is_same_v<T, double>) {
    target = value;
  } else {
    target = T(static_cast<float>(value));
  }
}

/// C++ type of wide_dtype.
template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

}  // namespace trireme::ops::reference
