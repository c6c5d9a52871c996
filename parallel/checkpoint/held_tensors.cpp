#include "parallel/checkpoint/held_tensors.h"

#include "core/base/check.h"
#include "core/optim/owned_boxes.h"

namespace trireme::checkpoint {
namespace {

/// Calls `add(piece, parameter group, index of the parameter, index of the piece)` for every piece of which
/// this rank holds a part.
template <class Add>
void for_each_piece(const ParameterStore& store, const Add& add) {
  for (size_t index = store.parameters().size(); index-- > 0;) {
    const Parameter& parameter = *store.parameters()[index];
    for (size_t piece = 0; piece < parameter.pieces.size(); ++piece) {
      const ParameterPiece& logical = parameter.pieces[piece];
      if (num_elements(logical.extent) > 0)
        add(logical, parameter.weight_decay ? "decay" : "no_decay", index, piece);
    }
  }
}

void add_values(std::vector<HeldTensor>& tensors, const ParameterStore& store) {
  const DType dtype = store.values().dtype();
  for_each_piece(store, [&](const ParameterPiece& piece, const char* group, size_t index, size_t number) {
    tensors.push_back(
        {{{"model", piece.name, dtype, piece.global_shape, group}, {piece.offset, piece.extent}},
         store.parameters()[index]->piece(store.view(store.values(), index), number)});
  });
}

/// Whole on every rank that has them; no optimizer has heard of them.
void add_buffers(std::vector<HeldTensor>& tensors, const ParameterStore& store) {
  for (const Buffer* buffer : store.buffers())
    tensors.push_back({{{"model", buffer->name, buffer->value.dtype(), buffer->shape, kBufferGroup},
                        {Shape(buffer->shape.size(), 0), buffer->shape}},
                       buffer->value});
}

/// Of a flat tensor that exists for the owned elements only.
void add_owned(std::vector<HeldTensor>& tensors, const ParameterStore& store, const Role& role,
               const Tensor& owned_flat) {
  for_each_piece(store, [&](const ParameterPiece& piece, const char* group, size_t index, size_t number) {
    for (OwnedBox& box : owned_boxes(store, owned_flat, index, number))
      tensors.push_back({{{role, piece.name, owned_flat.dtype(), piece.global_shape, group},
                          {std::move(box.offset), std::move(box.extent)}},
                         std::move(box.data)});
  });
}

}  // namespace

std::vector<HeldTensor> held_tensors(const ParameterStore& parameters,
                                     const std::vector<OptimizerState>& optimizer) {
  std::vector<HeldTensor> tensors;
  add_values(tensors, parameters);
  add_buffers(tensors, parameters);
  if (parameters.has_masters()) add_owned(tensors, parameters, "master", parameters.masters());
  for (const OptimizerState& state : optimizer)
    add_owned(tensors, parameters, "optimizer/" + state.name, state.flat);
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
