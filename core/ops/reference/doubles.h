#pragma once

#include <vector>

#include "core/tensor/tensor.h"

namespace trireme::ops::reference {

/// The elements of a tensor of any floating type, row by row without padding. Reference kernels compute in
/// double whatever the type, and round once when they store.
std::vector<double> load_doubles(const Tensor& tensor);
void store_doubles(const std::vector<double>& values, Tensor& tensor);

}  // namespace trireme::ops::reference
