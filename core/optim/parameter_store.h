#pragma once

#include <functional>
#include <vector>

#include "core/autograd/buffer.h"
#include "core/optim/parameter_layout.h"

namespace trireme {

/// The memory behind a model's parameters: flat values (compute type), master weights and gradients (float32,
/// or float64), laid out by a ParameterLayout; every Parameter's tensors are views in them. The gaps stay
/// zero. Where compute and master types agree, values and masters are one buffer.
///
/// A rank may own a part of the elements only (ZeRO: Rajbhandari et al. 2020). Then optimizer states, and
/// master weights where they are distinct, exist for the owned ranges alone, one after another, in tensors of
/// num_owned() elements; values and gradients are whole.
///
/// Beside the parameters it holds the model's buffers, which nobody trains: whole on every rank, in the type
/// of master weights.
class ParameterStore {
 public:
  /// Zeroed memory of `bytes`.
  using AllocateFlat = std::function<std::shared_ptr<Storage>(int64_t bytes, MemoryCategory category)>;

  /// Owns everything, in memory of the context.
  ParameterStore(Context& context, ParameterLayout layout);
  /// The layout's parameters must outlive the store. `owned`: ascending ranges that do not touch. `allocate`
  /// gives the memory of values and gradients (windows shared by the ranks of a host).
  ParameterStore(Context& context, ParameterLayout layout, std::vector<FlatRange> owned,
                 const AllocateFlat& allocate);

  /// Gives buffers their memory and first values; they must outlive the store. Called once, or not at all.
  void hold(Context& context, std::vector<Buffer*> buffers);
  const std::vector<Buffer*>& buffers() const { return buffers_; }
  /// All of them, one after another; undefined where there are none.
  const Tensor& buffer_values() const { return buffer_values_; }

  const ParameterLayout& layout() const { return layout_; }
  const std::vector<Parameter*>& parameters() const { return layout_.parameters(); }  ///< in flat order
  int64_t offset(size_t index) const { return layout_.offset(index); }
  int64_t num_elements() const { return layout_.num_elements(); }
  const std::vector<FlatRange>& owned() const { return owned_; }
  int64_t num_owned() const { return num_owned_; }
  bool owns_all() const { return num_owned_ == num_elements(); }

  const Tensor& values() const { return values_; }
  const Tensor& gradients() const { return gradients_; }
  /// values() itself, or num_owned() elements where has_masters().
  const Tensor& masters() const { return masters_; }
  bool has_masters() const;  ///< false where values and masters are one

  /// The part of a flat tensor of num_elements() that belongs to parameters()[index], in its shape.
  Tensor view(const Tensor& flat, size_t index) const;

  /// A part of an owned range whose parameters are of one weight-decay group.
  struct OwnedRange {
    FlatRange range;
    int64_t owned_begin = 0;  ///< of its first element in tensors of num_owned() elements
    bool weight_decay = true;
  };
  const std::vector<OwnedRange>& owned_decay_ranges() const { return owned_decay_ranges_; }

  /// Draws values and master weights.
  void initialize(Context& context, uint64_t seed);
  /// The next contribution to every gradient writes instead of adding.
  void begin_accumulation();
  /// Writes zeros where a parameter got no gradient since begin_accumulation().
  void finish_accumulation(Context& context);

 private:
  ParameterLayout layout_;
  std::vector<FlatRange> owned_;
  int64_t num_owned_ = 0;
  std::vector<OwnedRange> owned_decay_ranges_;
  Tensor values_, masters_, gradients_;
  std::vector<Buffer*> buffers_;
  Tensor buffer_values_;
};

}  // namespace trireme
