#include "parallel/data_parallel/bucket_plan.h"

#include "parallel/comm/communicator.h"

namespace trireme {

std::vector<FlatRange> plan_buckets(const ParameterLayout& layout, int64_t bucket_bytes) {
  std::vector<FlatRange> buckets;
  int64_t begin = 0;
  const size_t count = layout.parameters().size();
  for (size_t i = 0; i < count; ++i) {
    const int64_t end = layout.range(i).end;
    const bool last = i + 1 == count || i + 1 == layout.num_whole();
    if (last || (end - begin) * size_of(layout.master()) >= bucket_bytes) {
      buckets.push_back({begin, end});
      begin = end;
    }
  }
  return buckets;
}

std::vector<FlatRange> owned_ranges(const std::vector<FlatRange>& buckets, int rank, int size,
                                    int64_t zero_stage) {
  std::vector<FlatRange> owned;
  for (const FlatRange& bucket : buckets) {
    const Slice slice =
        zero_stage == 0 ? Slice{0, bucket.length()} : slice_of_rank(bucket.length(), rank, size);
    append_range(owned, {bucket.begin + slice.begin, bucket.begin + slice.end});
  }
  return owned;
}

}  // namespace trireme
