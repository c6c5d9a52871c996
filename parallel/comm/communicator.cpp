#include "parallel/comm/communicator.h"

#include <algorithm>

namespace trireme {

Slice slice_of_rank(int64_t count, int rank, int size) {
  constexpr int64_t kAlignment = 64;
  const int64_t even = (count + size - 1) / size;
  const int64_t length = (even + kAlignment - 1) / kAlignment * kAlignment;
  return {std::min(count, rank * length), std::min(count, (rank + 1) * length)};
}

}  // namespace trireme
