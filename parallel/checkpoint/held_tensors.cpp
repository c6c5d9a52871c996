#include "parallel/checkpoint/held_tensors.h"

#include "core/base/check.h"

namespace trireme::checkpoint {
namespace {

/// The pieces of every parameter in `flat`.
void add_role(std::vector<HeldTensor>& tensors, const ParameterStore& store, const Role& role,
              const Tensor& flat) {
  for (size_t index = store.parameters().size(); index-- > 0;) {
    const Parameter& parameter = *store.parameters()[index];
    const Tensor storage = store.view(flat, index);
    for (size_t piece = 0; piece < parameter.pieces.size(); ++piece) {
      const ParameterPiece& logical = parameter.pieces[piece];
      if (num_elements(logical.extent) == 0) continue;
      tensors.push_back({{{role, logical.name, flat.dtype(), logical.global_shape,
                           parameter.weight_decay ? "decay" : "no_decay"},
                          {logical.offset, logical.extent}},
                         parameter.piece(storage, piece)});
    }
  }
}

}  // namespace

std::vector<HeldTensor> held_tensors(const ParameterStore& parameters,
                                     const std::vector<OptimizerState>& optimizer) {
  std::vector<HeldTensor> tensors;
  add_role(tensors, parameters, "model", parameters.values());
  if (parameters.has_masters()) add_role(tensors, parameters, "master", parameters.masters());
  for (const OptimizerState& state : optimizer)
    add_role(tensors, parameters, "optimizer/" + state.name, state.flat);
  return tensors;
}

std::vector<TensorBox> boxes_of(const std::vector<HeldTensor>& tensors) {
  std::vector<TensorBox> boxes;
  for (const HeldTensor& tensor : tensors) boxes.push_back(tensor.box);
  return boxes;
}

Tensor part_of(const HeldTensor& held, const Box& box) {
  const Box& whole = held.box.box;
  const size_t last = whole.extent.size() - 1;
  int64_t row = 0;
  bool one_row_so_far = true;
  for (size_t dim = 0; dim < last; ++dim) {
    TRIREME_ASSERT(one_row_so_far || box.extent[dim] == whole.extent[dim],
                   "box " + to_string(box) + " is no range of rows of " + to_string(whole));
    one_row_so_far = one_row_so_far && box.extent[dim] == 1;
    row = row * whole.extent[dim] + box.offset[dim] - whole.offset[dim];
  }
  const Tensor& data = held.data;
  const int64_t element = row * data.row_stride() + box.offset[last] - whole.offset[last];
  return Tensor::view_of(data.storage(), data.byte_offset() + element * size_of(data.dtype()), box.extent,
                         data.dtype(), last == 0 ? 0 : data.row_stride());
}

}  // namespace trireme::checkpoint
