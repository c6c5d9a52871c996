#include "core/optim/owned_boxes.h"

#include <algorithm>

#include "core/base/check.h"

namespace trireme {
namespace {

/// The box that starts at element `first` of a dense row-major tensor and is the largest of those that hold
/// consecutive elements and end at `last` or before.
struct DenseBox {
  Shape offset;
  Shape extent;
};

DenseBox largest_box(const Shape& shape, int64_t first, int64_t last) {
  DenseBox box{Shape(shape.size()), Shape(shape.size(), 1)};
  int64_t rest = first;
  for (size_t dim = shape.size(); dim-- > 0; rest /= shape[dim]) box.offset[dim] = rest % shape[dim];
  // Outwards as long as the box starts at the beginning of a slab and the slab fits.
  int64_t slab = 1;
  size_t dim = shape.size() - 1;
  while (dim > 0 && box.offset[dim] == 0 && first + slab * shape[dim] <= last) {
    box.extent[dim] = shape[dim];
    slab *= shape[dim--];
  }
  box.extent[dim] = std::min(shape[dim] - box.offset[dim], (last - first) / slab);
  return box;
}

/// A piece as a dense tensor: where its elements lie in the flat buffers.
class PieceElements {
 public:
  PieceElements(const ParameterLayout& layout, size_t parameter, size_t piece)
      : range_(layout.piece_range(parameter, piece)),
        stride_(layout.row_stride(parameter)),
        cols_(layout.parameters()[parameter]->shape.back()) {}

  const FlatRange& range() const { return range_; }
  int64_t stride() const { return stride_; }
  int64_t flat(int64_t element) const { return range_.begin + element / cols_ * stride_ + element % cols_; }
  /// How many elements lie before a flat position.
  int64_t count_before(int64_t position) const {
    const int64_t distance = position - range_.begin;
    return distance / stride_ * cols_ + std::min(distance % stride_, cols_);
  }

 private:
  FlatRange range_;
  int64_t stride_;
  int64_t cols_;
};

}  // namespace

std::vector<OwnedBox> owned_boxes(const ParameterStore& store, const Tensor& owned_flat, size_t parameter,
                                  size_t piece) {
  TRIREME_ASSERT(owned_flat.num_elements() == store.num_owned(), "not a tensor of the owned elements");
  const ParameterPiece& logical = store.parameters()[parameter]->pieces[piece];
  const PieceElements elements(store.layout(), parameter, piece);
  const int64_t size = size_of(owned_flat.dtype());
  std::vector<OwnedBox> boxes;
  int64_t owned_begin = 0;
  for (const FlatRange& owned : store.owned()) {
    const FlatRange shared = intersection(owned, elements.range());
    int64_t first = shared.length() == 0 ? 0 : elements.count_before(shared.begin);
    const int64_t last = shared.length() == 0 ? 0 : elements.count_before(shared.end);
    while (first < last) {
      DenseBox box = largest_box(logical.extent, first, last);
      const int64_t place = owned_begin + elements.flat(first) - owned.begin;
      first += num_elements(box.extent);
      for (size_t dim = 0; dim < box.offset.size(); ++dim) box.offset[dim] += logical.offset[dim];
      const bool one_row = num_elements(box.extent) == box.extent.back();
      boxes.push_back({box.offset, box.extent,
                       Tensor::view_of(owned_flat.storage(), owned_flat.byte_offset() + place * size,
                                       box.extent, owned_flat.dtype(), one_row ? 0 : elements.stride())});
    }
    owned_begin += owned.length();
  }
  return boxes;
}

}  // namespace trireme
