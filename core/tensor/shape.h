#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme {

using Shape = std::vector<int64_t>;

int64_t num_elements(const Shape& shape);
std::string to_string(const Shape& shape);  ///< "[2, 3]"

}  // namespace trireme
