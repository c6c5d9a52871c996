#pragma once

#include <vector>

#include "core/optim/parameter_layout.h"

namespace trireme {

/// Cuts the flat gradients into ranges of whole parameters, each of about `bucket_bytes`. Parameters with a
/// partial gradient, which are reduced last, form buckets of their own at the end.
std::vector<FlatRange> plan_buckets(const ParameterLayout& layout, int64_t bucket_bytes);

/// What data rank `rank` of `size` keeps of the optimizer state. zero_stage 0: everything; 1: of each bucket
/// its slice (slice_of_rank), which the bucket's reduce-scatter leaves it.
std::vector<FlatRange> owned_ranges(const std::vector<FlatRange>& buckets, int rank, int size,
                                    int64_t zero_stage);

}  // namespace trireme
