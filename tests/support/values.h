#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/tensor/context.h"

namespace trireme::testing {

/// A contiguous tensor with these elements, row by row, converted to `dtype` (a floating type or int32).
Tensor tensor_of(Context& context, const Shape& shape, const std::vector<double>& values,
                 DType dtype = DType::kFloat64);
/// The elements of a floating tensor, row by row.
std::vector<double> values_of(const Tensor& tensor);
/// Fails the test where an element differs by more than `bound`.
void expect_near(const Tensor& tensor, const std::vector<double>& expected, double bound);

/// The message of the error that `call` throws; fails the test when nothing of that type comes.
template <class Expected, class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Expected& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing of the expected type was thrown";
  return "";
}

}  // namespace trireme::testing
