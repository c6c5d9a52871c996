#pragma once

#include <functional>
#include <vector>

#include "core/autograd/parameter.h"
#include "core/optim/optimizer_config.h"

namespace trireme {

/// The memory behind a model's parameters: flat values (compute type), master weights and gradients (float32,
/// or float64), in which every Parameter's tensors are views. Order: the reverse of the forward pass, in
/// which backward finishes gradients, so a bucket is a range. Every parameter starts at a multiple of 64
/// bytes, float32 matrices have padded rows, and the gaps stay zero. Where compute and master types agree,
/// values and masters are one buffer.
class ParameterStore {
 public:
  using AllocateGradients = std::function<std::shared_ptr<Storage>(int64_t bytes)>;

  /// `parameters` in forward order; they must outlive the store. `allocate_gradients` gives zeroed memory (a
  /// window shared by the ranks of a host); by default it comes from the context.
  ParameterStore(Context& context, const std::vector<Parameter*>& parameters,
                 const PrecisionConfig& precision, const AllocateGradients& allocate_gradients = {});

  const std::vector<Parameter*>& parameters() const { return parameters_; }  ///< in flat order
  int64_t offset(size_t index) const { return offsets_[index]; }  ///< first element of parameters()[index]
  int64_t num_elements() const { return num_elements_; }          ///< gaps included
  const Tensor& values() const { return values_; }
  const Tensor& masters() const { return masters_; }
  const Tensor& gradients() const { return gradients_; }
  bool has_masters() const;  ///< false where values and masters are one

  /// The part of a flat tensor of num_elements() (an optimizer state) that belongs to parameters()[index], in
  /// its shape.
  Tensor view(const Tensor& flat, size_t index) const;

  /// Neighbouring parameters of one weight-decay group.
  struct Range {
    int64_t begin;
    int64_t end;
    bool weight_decay;
  };
  const std::vector<Range>& decay_ranges() const { return decay_ranges_; }

  void initialize(Context& context, uint64_t seed);
  /// The next contribution to every gradient writes instead of adding.
  void begin_accumulation();
  /// Writes zeros where a parameter got no gradient since begin_accumulation().
  void finish_accumulation(Context& context);

 private:
  std::vector<Parameter*> parameters_;
  std::vector<int64_t> offsets_;
  std::vector<int64_t> row_strides_;
  std::vector<Range> decay_ranges_;
  int64_t num_elements_ = 0;
  Tensor values_, masters_, gradients_;
};

}  // namespace trireme
