#pragma once

#include <vector>

#include "core/optim/parameter_layout.h"
#include "parallel/mesh/mesh.h"

namespace trireme {

/// The flat elements that this rank counts of the gradients' squared norm: those of its slices of the buckets
/// (the data ranks divide the work, and under ZeRO these are the sums it has) that belong to pieces counted
/// here (Mesh::counted_here). Over the world, every element of every logical tensor is in one rank's ranges.
/// Gaps between counted elements, which are zero, may be in them too, so that ranges are few and long.
std::vector<FlatRange> counted_ranges(const ParameterLayout& layout, const Mesh& mesh,
                                      const std::vector<FlatRange>& buckets);

}  // namespace trireme
