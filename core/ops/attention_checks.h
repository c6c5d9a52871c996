#pragma once

#include <fmt/format.h>

#include "core/ops/attention.h"
#include "core/ops/checks.h"

namespace trireme::ops {

/// What attention asks of its arguments, in both directions. Throws ShapeError.
class AttentionChecker {
 public:
  AttentionChecker(const char* op, const AttentionShape& shape, const AttentionOptions& options, DType dtype)
      : op_(op), shape_(shape), dtype_(dtype) {
    demand(shape.num_query_groups >= 1 && shape.num_heads % shape.num_query_groups == 0,
           fmt::format("has {} heads and {} query groups", shape.num_heads, shape.num_query_groups),
           "a number of heads that is a multiple of the query groups");
    demand(shape.head_dim >= 1, fmt::format("has head_dim {}", shape.head_dim), "at least 1");
    demand(shape.key_capacity == 0 || shape.key_capacity >= shape.key_length,
           fmt::format("has {} keys and key_capacity {}", shape.key_length, shape.key_capacity),
           "a capacity that holds the keys");
    demand(options.dropout >= 0.0 && options.dropout < 1.0, fmt::format("has dropout {}", options.dropout),
           "a probability in [0, 1)");
    const AttentionMask& mask = options.mask;
    const Shape per_query = {shape.num_samples, shape.query_length};
    if (mask.key_begin.defined()) contiguous("key_begin", mask.key_begin, per_query, DType::kInt32);
    if (mask.key_end.defined()) contiguous("key_end", mask.key_end, per_query, DType::kInt32);
    if (options.dropout > 0.0)
      contiguous("sample_ids", options.sample_ids, {shape.num_samples}, DType::kInt64);
  }

  void queries(const char* argument, const Tensor& tensor) const {
    check_floating(op_, argument, tensor);
    check_shape(op_, argument, tensor,
                {shape_.num_samples * shape_.query_length, shape_.num_heads * shape_.head_dim});
    check_dtype(op_, argument, tensor, dtype_);
  }

  void keys(const char* argument, const Tensor& tensor) const {
    const int64_t capacity = shape_.key_capacity == 0 ? shape_.key_length : shape_.key_capacity;
    check_shape(op_, argument, tensor,
                {shape_.num_samples * capacity, shape_.num_query_groups * shape_.head_dim});
    check_dtype(op_, argument, tensor, dtype_);
  }

  void log_sum_exp(const Tensor& tensor) const {
    contiguous("log_sum_exp", tensor, {shape_.num_samples, shape_.num_heads, shape_.query_length},
               wide_dtype(dtype_));
  }

 private:
  void demand(bool condition, const std::string& given, const std::string& expected) const {
    if (!condition) throw_shape_error(op_, "shape", given, expected);
  }

  void contiguous(const char* argument, const Tensor& tensor, const Shape& shape, DType dtype) const {
    check_shape(op_, argument, tensor, shape);
    check_dtype(op_, argument, tensor, dtype);
    check_contiguous(op_, argument, tensor);
  }

  const char* op_;
  const AttentionShape& shape_;
  DType dtype_;
};

}  // namespace trireme::ops
