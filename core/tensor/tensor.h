#pragma once

#include <cstddef>
#include <memory>

#include "core/tensor/allocator.h"
#include "core/tensor/dtype.h"
#include "core/tensor/shape.h"

namespace trireme {

/// Elements between rows of `cols` elements that make matrix products fast. Rows whose byte length is a
/// multiple of 512 map onto few cache sets when a product walks down a column; one extra cache line breaks
/// that (measured: strides of 3072 and 50304 floats cost 10-25 %). Rows below 1 KiB are left dense.
int64_t padded_row_stride(int64_t cols, DType dtype);

/// dtype, shape and shared storage; no gradient, no math. Copying a Tensor shares the storage.
///
/// Elements are row-major. A *row* is the last dimension, always dense; consecutive rows lie `row_stride()`
/// elements apart and all other dimensions are dense in rows. So a tensor is either contiguous (row_stride ==
/// cols), or its rows are padded (large GEMM strides that are powers of two cost 10-25 %), or it is a column
/// range of a wider tensor (query, key and value inside one packed projection). Operations work row by row
/// and take all three, unless their header says "contiguous".
class Tensor {
 public:
  Tensor() = default;

  /// Contiguous, uninitialised.
  static Tensor allocate(Allocator& allocator, Shape shape, DType dtype, MemoryCategory category);
  /// Rows padded where that makes matrix products faster, uninitialised.
  static Tensor allocate_padded(Allocator& allocator, Shape shape, DType dtype, MemoryCategory category);
  /// A view of `shape` starting `byte_offset` into the storage; rows `row_stride` elements apart (0:
  /// contiguous).
  static Tensor view_of(std::shared_ptr<Storage> storage, int64_t byte_offset, Shape shape, DType dtype,
                        int64_t row_stride = 0);

  bool defined() const { return storage_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int dim() const { return static_cast<int>(shape_.size()); }
  int64_t size(int dim) const;  ///< negative counts from the end
  int64_t num_elements() const { return num_elements_; }
  int64_t num_bytes() const { return num_elements_ * size_of(dtype_); }
  DType dtype() const { return dtype_; }
  int64_t cols() const { return shape_.empty() ? 1 : shape_.back(); }
  int64_t rows() const { return cols() == 0 ? 0 : num_elements_ / cols(); }
  int64_t row_stride() const { return row_stride_; }
  bool is_contiguous() const { return row_stride_ == cols() || rows() <= 1; }

  template <class T>
  T* data() const {
    if (DTypeOf<T>::value != dtype_) wrong_type(DTypeOf<T>::value);
    return reinterpret_cast<T*>(raw());
  }
  template <class T>
  T* row(int64_t index) const {
    return data<T>() + index * row_stride_;
  }
  std::byte* raw() const { return storage_ ? storage_->data() + byte_offset_ : nullptr; }
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  int64_t byte_offset() const { return byte_offset_; }  ///< of the first element in the storage

  /// Same elements, another shape. The last dimension may change only when contiguous. One extent may be -1.
  Tensor reshape(Shape shape) const;
  /// [start, start + length) of the first dimension (dim 0) or of the last one (dim -1 or dim() - 1).
  Tensor slice(int dim, int64_t start, int64_t length) const;

 private:
  [[noreturn]] void wrong_type(DType asked) const;

  std::shared_ptr<Storage> storage_;
  int64_t byte_offset_ = 0;
  Shape shape_;
  int64_t num_elements_ = 0;
  int64_t row_stride_ = 0;
  DType dtype_ = DType::kFloat32;
};

}  // namespace trireme
