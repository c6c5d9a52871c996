#include "core/tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace trireme {

int64_t num_elements(const Shape& shape) {
  int64_t count = 1;
  for (const int64_t extent : shape) count *= extent;
  return count;
}

std::string to_string(const Shape& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace trireme
