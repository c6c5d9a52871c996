#include "core/data/length_buckets.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/data/permutation.h"

namespace trireme {
namespace {

constexpr uint64_t kGroupSite = uint64_t{1} << 32;  ///< apart from the files, whose sites count from 0

}  // namespace

LengthBuckets::LengthBuckets(int64_t num_samples, int64_t pool, int64_t group, uint64_t seed,
                             LengthOf length_of)
    : num_samples_(num_samples),
      pool_((pool + group - 1) / group * group),
      group_(group),
      seed_(seed),
      length_of_(std::move(length_of)) {}

int64_t LengthBuckets::operator()(int64_t sample) const {
  const int64_t epoch = sample / num_samples_;
  return epoch * num_samples_ + order_of(epoch)->at(static_cast<size_t>(sample % num_samples_));
}

std::shared_ptr<const LengthBuckets::Order> LengthBuckets::order_of(int64_t epoch) const {
  const std::lock_guard lock(mutex_);
  if (epoch != epoch_) {
    order_ = std::make_shared<const Order>(make_order(epoch));
    epoch_ = epoch;
  }
  return order_;
}

LengthBuckets::Order LengthBuckets::make_order(int64_t epoch) const {
  const int64_t begin = epoch * num_samples_;
  std::vector<std::pair<int64_t, int64_t>> samples;  // length, index in the epoch: ties keep their order
  samples.reserve(static_cast<size_t>(num_samples_));
  for (int64_t i = 0; i < num_samples_; ++i) samples.emplace_back(length_of_(begin + i), i);
  // Behind the rest of a step that the epoch before began.
  const int64_t head = std::min(num_samples_, (group_ - begin % group_) % group_);
  for (int64_t from = head; from < num_samples_; from += pool_)
    std::sort(samples.begin() + from, samples.begin() + std::min(num_samples_, from + pool_));

  Order order(samples.size());
  const auto take = [&](int64_t from, int64_t count, int64_t to) {
    for (int64_t i = 0; i < count; ++i) order[to + i] = samples[from + i].second;
  };
  take(0, head, 0);
  const int64_t num_groups = (num_samples_ - head) / group_;
  const auto key =
      RandomKey::make(seed_, RandomPurpose::kDataOrder, static_cast<uint64_t>(epoch), kGroupSite);
  for (int64_t i = 0; i < num_groups; ++i)
    take(head + i * group_, group_, head + Permutation(num_groups, key)(i) * group_);
  const int64_t rest = head + num_groups * group_;
  take(rest, num_samples_ - rest, rest);
  return order;
}

}  // namespace trireme
