#pragma once

#include <cstdint>
#include <vector>

namespace trireme {

/// Which data set sample n comes from, in closed form: O(log data sets), no index array.
///
/// Weights are integers. A balanced binary tree stands over the data sets; at a node whose left half weighs a
/// of a + b, the first n samples of the node contain floor(n a / (a + b)) of the left half, so sample n goes
/// left exactly when that number grows (Bresenham 1965). Hence every run of total_weight() samples that
/// begins at a multiple of it holds each data set exactly `weight` times, and any first n samples hold n
/// weight / total of it to within the depth of the tree.
class Blend {
 public:
  struct Place {
    int64_t dataset;
    int64_t index;  ///< how many earlier samples came from this data set
  };

  /// At least one weight, none negative, not all 0; their sum below 2^62.
  explicit Blend(const std::vector<int64_t>& weights);
  /// Weights given as fractions, in multiples of 2^-40 of their sum.
  static Blend from_fractions(const std::vector<double>& weights);

  int64_t total_weight() const { return sums_.back(); }
  int64_t weight(int64_t dataset) const { return sums_[dataset + 1] - sums_[dataset]; }
  Place place_of(int64_t sample) const;

 private:
  std::vector<int64_t> sums_;  ///< sums_[k]: weight of the first k data sets
};

}  // namespace trireme
