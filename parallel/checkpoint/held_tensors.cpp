#include "parallel/checkpoint/held_tensors.h"

namespace trireme::checkpoint {
namespace {

/// The pieces of every parameter in `flat`, in forward order (the store keeps the reverse).
void add_role(std::vector<HeldTensor>& tensors, const ParameterStore& store, const Role& role,
              const Tensor& flat) {
  for (size_t index = store.parameters().size(); index-- > 0;) {
    const Parameter& parameter = *store.parameters()[index];
    const Tensor storage = store.view(flat, index);
    for (size_t piece = 0; piece < parameter.pieces.size(); ++piece) {
      const ParameterPiece& logical = parameter.pieces[piece];
      tensors.push_back({{role,
                          logical.name,
                          flat.dtype(),
                          logical.global_shape,
                          {logical.offset, logical.extent},
                          parameter.weight_decay ? "decay" : "no_decay"},
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

Tensor rows_of(const HeldTensor& held, const Box& box) {
  return held.data.slice(0, box.offset[0] - held.box.box.offset[0], box.extent[0]);
}

}  // namespace trireme::checkpoint
