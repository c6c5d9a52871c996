#include "core/tensor/tensor.h"

#include <fmt/format.h>

#include "core/base/error.h"

namespace trireme {
namespace {

constexpr int64_t kCacheLine = 64;

}  // namespace

int64_t padded_row_stride(int64_t cols, DType dtype) {
  const int64_t bytes = cols * size_of(dtype);
  if (bytes < 1024) return cols;
  const int64_t lines = (bytes + kCacheLine - 1) / kCacheLine;
  const int64_t padded = lines % 8 == 0 ? lines + 1 : lines;
  return padded * kCacheLine / size_of(dtype);
}

Tensor Tensor::allocate(Allocator& allocator, Shape shape, DType dtype, MemoryCategory category) {
  const int64_t bytes = trireme::num_elements(shape) * size_of(dtype);
  return view_of(allocator.allocate(bytes, category), 0, std::move(shape), dtype);
}

Tensor Tensor::allocate_padded(Allocator& allocator, Shape shape, DType dtype, MemoryCategory category) {
  if (shape.empty()) return allocate(allocator, std::move(shape), dtype, category);
  const int64_t stride = padded_row_stride(shape.back(), dtype);
  const int64_t count = trireme::num_elements(shape);
  const int64_t rows = shape.back() == 0 ? 0 : count / shape.back();
  return view_of(allocator.allocate(rows * stride * size_of(dtype), category), 0, std::move(shape), dtype,
                 stride);
}

Tensor Tensor::view_of(std::shared_ptr<Storage> storage, int64_t byte_offset, Shape shape, DType dtype,
                       int64_t row_stride) {
  Tensor tensor;
  tensor.num_elements_ = trireme::num_elements(shape);
  tensor.shape_ = std::move(shape);
  tensor.dtype_ = dtype;
  tensor.row_stride_ = row_stride == 0 ? tensor.cols() : row_stride;
  tensor.byte_offset_ = byte_offset;
  const int64_t rows = tensor.rows();
  const int64_t bytes = rows == 0 ? 0 : ((rows - 1) * tensor.row_stride_ + tensor.cols()) * size_of(dtype);
  if (byte_offset < 0 || tensor.row_stride_ < tensor.cols() || byte_offset + bytes > storage->size())
    throw ShapeError(fmt::format("a view of {} bytes at offset {} does not fit into a storage of {} bytes",
                                 bytes, byte_offset, storage->size()));
  tensor.storage_ = std::move(storage);
  return tensor;
}

int64_t Tensor::size(int dim) const {
  const int index = dim < 0 ? dim + this->dim() : dim;
  if (index < 0 || index >= this->dim())
    throw ShapeError(fmt::format("dimension {} of a tensor of shape {}", dim, to_string(shape_)));
  return shape_[static_cast<size_t>(index)];
}

Tensor Tensor::reshape(Shape shape) const {
  int64_t known = 1;
  int64_t* unknown = nullptr;
  for (int64_t& extent : shape) {
    if (extent == -1 && unknown == nullptr) {
      unknown = &extent;
    } else {
      known *= extent;
    }
  }
  if (unknown != nullptr && known > 0) *unknown = num_elements_ / known;
  const int64_t new_cols = shape.empty() ? 1 : shape.back();
  if (trireme::num_elements(shape) != num_elements_ || (!is_contiguous() && new_cols != cols()))
    throw ShapeError(
        fmt::format("reshape of {} (row stride {}) to {}", to_string(shape_), row_stride_, to_string(shape)));
  Tensor result = *this;
  result.row_stride_ = new_cols == cols() ? row_stride_ : new_cols;
  result.shape_ = std::move(shape);
  return result;
}

Tensor Tensor::slice(int dim, int64_t start, int64_t length) const {
  const int index = dim < 0 ? dim + this->dim() : dim;
  const bool last = index == this->dim() - 1;
  if ((index != 0 && !last) || start < 0 || length < 0 || start + length > size(index))
    throw ShapeError(
        fmt::format("slice [{}, {}) of dimension {} of {}", start, start + length, dim, to_string(shape_)));
  Tensor result = *this;
  result.shape_[static_cast<size_t>(index)] = length;
  result.num_elements_ = trireme::num_elements(result.shape_);
  if (last) {
    result.byte_offset_ += start * size_of(dtype_);
    if (this->dim() == 1) result.row_stride_ = length;
  } else {
    const int64_t rows_each = size(0) == 0 ? 0 : rows() / size(0);
    result.byte_offset_ += start * rows_each * row_stride_ * size_of(dtype_);
  }
  return result;
}

void Tensor::wrong_type(DType asked) const {
  throw ShapeError(fmt::format("a {} tensor of shape {} was read as {}", name_of(dtype_), to_string(shape_),
                               name_of(asked)));
}

}  // namespace trireme
