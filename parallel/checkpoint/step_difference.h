#pragma once

#include <string>
#include <vector>

#include "parallel/checkpoint/tensor_box.h"

namespace trireme {

/// How a tensor of one step differs from the same tensor of another.
struct TensorDifference {
  checkpoint::Role role;
  std::string name;
  std::string mismatch;  ///< "missing in the second", "shape [2, 3] and [3, 2]"; then nothing else is known
  std::string dtypes;    ///< "float32 and bfloat16" where they differ; values are compared all the same
  int64_t num_elements = 0;
  int64_t num_equal = 0;     ///< of equal value; NaN equals NaN
  double max_absolute = 0;   ///< of |a - b|; infinite where only one is NaN
  double max_magnitude = 0;  ///< of |a| and |b|

  /// max_absolute / max_magnitude.
  double max_relative() const { return max_absolute == 0 ? 0 : max_absolute / max_magnitude; }
  /// Same shape and type, and max_relative() at most `tolerance`.
  bool within(double tolerance) const {
    return mismatch.empty() && dtypes.empty() && max_relative() <= tolerance;
  }
};

/// Every tensor of either step, in the order of the first, whatever their layouts; every block read is
/// checked. Holds about 256 MiB. CheckpointError where a step is damaged.
std::vector<TensorDifference> compare_steps(const std::string& first, const std::string& second);

}  // namespace trireme
