#pragma once

#include <cstdint>
#include <vector>

#include "core/autograd/parameter.h"
#include "core/optim/optimizer_config.h"

namespace trireme {

/// Elements [begin, end) of a flat buffer.
struct FlatRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t length() const { return end - begin; }
  bool operator==(const FlatRange&) const = default;
};

/// What two ranges share; empty (length 0) when that is nothing.
FlatRange intersection(const FlatRange& a, const FlatRange& b);
/// Adds a range at the end of an ascending list: empty ones are left out, neighbours become one.
void append_range(std::vector<FlatRange>& ranges, const FlatRange& range);

/// Neighbouring parameters of one weight-decay group.
struct DecayRange {
  FlatRange range;
  bool weight_decay = true;
};

/// Where each parameter lies in the flat buffers of values, master weights, gradients and optimizer states:
/// one order for all of them, no memory. First come the parameters whose gradient is complete when backward
/// has made it, in the reverse of the forward pass, in which backward finishes them, so that a bucket is a
/// range; then, in the same order, those whose gradient must be summed over another axis than data first
/// (Parameter::has_partial_gradient). Every parameter starts at a multiple of 64 bytes of the compute type;
/// float32 matrices have padded rows.
class ParameterLayout {
 public:
  /// The parameters must outlive the layout; their placement and shape must not change.
  ParameterLayout(const std::vector<Parameter*>& forward_order, const PrecisionConfig& precision);

  const std::vector<Parameter*>& parameters() const { return parameters_; }  ///< in flat order
  DType compute() const { return compute_; }                                 ///< of values
  DType master() const { return master_; }  ///< of master weights, gradients, optimizer states
  int64_t num_elements() const { return offsets_.back(); }  ///< gaps included
  size_t num_whole() const { return num_whole_; }  ///< parameters without a partial gradient: the first ones
  int64_t row_stride(size_t index) const { return row_strides_[index]; }  ///< elements
  /// First element of parameters()[index]; num_elements() for the index after the last.
  int64_t offset(size_t index) const { return offsets_[index]; }
  /// The elements of parameters()[index] with the gap after it.
  FlatRange range(size_t index) const { return {offsets_[index], offsets_[index + 1]}; }
  /// From the first to the last element of a piece of parameters()[index], row gaps between them included.
  FlatRange piece_range(size_t index, size_t piece) const;
  const std::vector<DecayRange>& decay_ranges() const { return decay_ranges_; }

 private:
  std::vector<Parameter*> parameters_;
  std::vector<int64_t> offsets_;  ///< one more than parameters
  std::vector<int64_t> row_strides_;
  std::vector<DecayRange> decay_ranges_;
  DType compute_, master_;
  size_t num_whole_ = 0;
};

}  // namespace trireme
