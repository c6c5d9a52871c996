#pragma once

#include <algorithm>

#include "core/ops/attention.h"

namespace trireme::ops {

/// The keys [begin, end) that one query sees; empty when end <= begin. The one place that reads a mask.
struct KeyRange {
  int64_t begin = 0;
  int64_t end = 0;
  bool empty() const { return end <= begin; }
};

inline KeyRange visible_keys(const AttentionShape& shape, const AttentionMask& mask, int64_t sample,
                             int64_t query) {
  KeyRange keys{0, shape.key_length};
  const int64_t index = sample * shape.query_length + query;
  if (mask.key_begin.defined()) keys.begin = std::max<int64_t>(0, mask.key_begin.data<int32_t>()[index]);
  if (mask.key_end.defined()) keys.end = std::min<int64_t>(keys.end, mask.key_end.data<int32_t>()[index]);
  if (mask.causal) keys.end = std::min(keys.end, query + mask.query_offset + 1);
  return keys;
}

/// Global position of query 0, which dropout is keyed by.
inline int64_t query_position(const AttentionOptions& options) {
  return options.key_offset + options.mask.query_offset;
}

}  // namespace trireme::ops
