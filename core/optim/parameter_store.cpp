#include "core/optim/parameter_store.h"

#include "core/base/check.h"
#include "core/ops/elementwise.h"
#include "core/optim/owned_boxes.h"

namespace trireme {
namespace {

/// Both lists are ascending.
std::vector<ParameterStore::OwnedRange> divide_by_decay(const std::vector<FlatRange>& owned,
                                                        const std::vector<DecayRange>& groups) {
  std::vector<ParameterStore::OwnedRange> ranges;
  int64_t owned_begin = 0;
  size_t group = 0;
  for (const FlatRange& whole : owned) {
    while (groups[group].range.end <= whole.begin) ++group;
    for (size_t i = group; i < groups.size() && groups[i].range.begin < whole.end; ++i) {
      const FlatRange range = intersection(whole, groups[i].range);
      ranges.push_back({range, owned_begin, groups[i].weight_decay});
      owned_begin += range.length();
    }
  }
  return ranges;
}

}  // namespace

ParameterStore::ParameterStore(Context& context, ParameterLayout layout)
    : ParameterStore(context, layout, {{0, layout.num_elements()}},
                     [&](int64_t bytes, MemoryCategory category) {
                       return context.zeros({bytes}, DType::kUInt8, category).storage();
                     }) {}

ParameterStore::ParameterStore(Context& context, ParameterLayout layout, std::vector<FlatRange> owned,
                               const AllocateFlat& allocate)
    : layout_(std::move(layout)),
      owned_(std::move(owned)),
      owned_decay_ranges_(divide_by_decay(owned_, layout_.decay_ranges())) {
  for (const FlatRange& range : owned_) num_owned_ += range.length();
  const auto flat = [&](DType dtype, MemoryCategory category) {
    return Tensor::view_of(allocate(num_elements() * size_of(dtype), category), 0, {num_elements()}, dtype);
  };
  values_ = flat(layout_.compute(), MemoryCategory::kWeights);
  masters_ = layout_.compute() == layout_.master()
                 ? values_
                 : context.zeros({num_owned_}, layout_.master(), MemoryCategory::kOptimizer);
  gradients_ = flat(layout_.master(), MemoryCategory::kGradients);
  for (size_t i = 0; i < parameters().size(); ++i) {
    Parameter& parameter = *parameters()[i];
    parameter.value = view(values_, i);
    parameter.master = !has_masters() || owns_all() ? view(masters_, i) : Tensor();
    parameter.gradient = view(gradients_, i);
  }
}

void ParameterStore::hold(Context& context, std::vector<Buffer*> buffers) {
  TRIREME_ASSERT(buffers_.empty(), "a store was given buffers twice");
  buffers_ = std::move(buffers);
  if (buffers_.empty()) return;
  int64_t count = 0;
  for (const Buffer* buffer : buffers_) count += trireme::num_elements(buffer->shape);
  buffer_values_ = context.zeros({count}, layout_.master(), MemoryCategory::kWeights);
  count = 0;
  for (Buffer* buffer : buffers_) {
    const int64_t length = trireme::num_elements(buffer->shape);
    buffer->value = buffer_values_.slice(0, count, length).reshape(buffer->shape);
    ops::fill(context, buffer->value, buffer->initial);
    count += length;
  }
}

bool ParameterStore::has_masters() const {
  return masters_.storage() != values_.storage();
}

Tensor ParameterStore::view(const Tensor& flat, size_t index) const {
  TRIREME_ASSERT(flat.num_elements() == num_elements(), "a flat tensor of another length");
  return Tensor::view_of(flat.storage(), flat.byte_offset() + offset(index) * size_of(flat.dtype()),
                         parameters()[index]->shape, flat.dtype(), layout_.row_stride(index));
}

void ParameterStore::initialize(Context& context, uint64_t seed) {
  for (size_t i = 0; i < parameters().size(); ++i) {
    Parameter& parameter = *parameters()[i];
    trireme::initialize(context, parameter, seed);
    if (parameter.master.defined()) continue;
    for (size_t piece = 0; piece < parameter.pieces.size(); ++piece)
      for (const OwnedBox& box : owned_boxes(*this, masters_, i, piece))
        draw_initial(context, parameter, piece, box.offset, box.data, seed);
  }
}

void ParameterStore::begin_accumulation() {
  for (Parameter* parameter : parameters()) parameter->begin_accumulation();
}

void ParameterStore::finish_accumulation(Context& context) {
  for (Parameter* parameter : parameters())
    if (!parameter->has_gradient()) ops::fill(context, parameter->gradient, 0.0);
}

}  // namespace trireme
