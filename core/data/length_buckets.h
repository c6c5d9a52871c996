#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace trireme {

/// Another order of the samples of an epoch, in which the samples of a group are of similar length: little
/// padding. The epoch's samples, as they come, are cut into pools; each pool is sorted by length; what comes
/// of it is cut into groups, and the groups are permuted. Groups are the samples of a step: they begin at
/// multiples of `group` counted from the first epoch, so a group that an epoch's bound divides stays there.
/// Each sample comes once an epoch. A pure function of its arguments. Thread-safe.
class LengthBuckets {
 public:
  /// Tokens of a sample of the order that is given.
  using LengthOf = std::function<int64_t(int64_t sample)>;

  /// `pool` is rounded up to a multiple of `group`.
  LengthBuckets(int64_t num_samples, int64_t pool, int64_t group, uint64_t seed, LengthOf length_of);

  /// The sample that takes the place of `sample`; both of the same epoch. The first call in an epoch takes
  /// O(num_samples log pool) time and keeps 8 bytes a sample.
  int64_t operator()(int64_t sample) const;

 private:
  using Order = std::vector<int64_t>;
  std::shared_ptr<const Order> order_of(int64_t epoch) const;
  Order make_order(int64_t epoch) const;

  int64_t num_samples_, pool_, group_;
  uint64_t seed_;
  LengthOf length_of_;
  mutable std::mutex mutex_;
  mutable int64_t epoch_ = -1;
  mutable std::shared_ptr<const Order> order_;  ///< of epoch_
};

}  // namespace trireme
