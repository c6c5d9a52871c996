#pragma once

#include "core/ops/attention_keys.h"

namespace trireme::ops::cpu {

/// Attention works on blocks of kStripRows queries by kBlockKeys keys, all in float32. Queries of a task are
/// taken kTaskRows at a time, so that keys are packed once for many strips.
inline constexpr int64_t kStripRows = 32;
inline constexpr int64_t kBlockKeys = 64;
inline constexpr int64_t kTaskRows = 256;
/// Rows of a scratch matrix end at a multiple of this, whatever the vector length.
inline constexpr int64_t kPadding = 16;

inline int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Cuts a thread's scratch memory into float32 arrays; with a null start it only counts.
class Scratch {
 public:
  explicit Scratch(float* start) : start_(start) {}
  float* take(int64_t count) {
    float* result = start_ == nullptr ? nullptr : start_ + used_;
    used_ += round_up(count, kPadding);
    return result;
  }
  int64_t used() const { return used_; }

 private:
  float* start_;
  int64_t used_ = 0;
};

/// One call's tensors and options, for the kernels.
struct AttentionCall {
  const AttentionShape& shape;
  const AttentionOptions& options;

  int64_t padded_dim() const { return round_up(shape.head_dim, kPadding); }
  int64_t heads_per_group() const { return shape.num_heads / shape.num_query_groups; }
  int64_t query_row(int64_t sample, int64_t query) const { return sample * shape.query_length + query; }
  int64_t key_row(int64_t sample, int64_t key) const {
    return sample * (shape.key_capacity == 0 ? shape.key_length : shape.key_capacity) + key;
  }
  int64_t log_sum_exp_index(int64_t sample, int64_t head, int64_t query) const {
    return (sample * shape.num_heads + head) * shape.query_length + query;
  }
};

/// The keys that any of the queries [begin, end) sees; no single query may see all of them.
inline KeyRange visible_to_any(const AttentionCall& call, int64_t sample, int64_t begin, int64_t end) {
  KeyRange all{call.shape.key_length, 0};
  for (int64_t query = begin; query < end; ++query) {
    const KeyRange keys = visible_keys(call.shape, call.options.mask, sample, query);
    if (keys.empty()) continue;
    all.begin = std::min(all.begin, keys.begin);
    all.end = std::max(all.end, keys.end);
  }
  return all;
}

}  // namespace trireme::ops::cpu
