#include "core/ops/cpu/gemm.h"

#include <cstring>

#include "core/base/check.h"
#include "core/ops/cpu/dnnl_matmul.h"
#include "core/ops/cpu/thread_count.h"
#include "core/ops/elementwise.h"

namespace trireme::ops::cpu {
namespace {

MatrixLayout layout_of(const Tensor& tensor, bool transpose) {
  // The stride of a single row means nothing; one value for it keeps the cache of primitives small.
  const int64_t stride = tensor.size(0) == 1 ? tensor.cols() : tensor.row_stride();
  if (transpose) return {tensor.size(1), tensor.size(0), 1, stride, tensor.dtype()};
  return {tensor.size(0), tensor.size(1), stride, 1, tensor.dtype()};
}

bool multiply(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  MatmulSpec spec;
  spec.a = layout_of(a, options.transpose_a);
  spec.b = layout_of(b, options.transpose_b);
  spec.c = layout_of(c, false);
  spec.has_bias = options.bias != nullptr;
  if (spec.has_bias) spec.bias_dtype = options.bias->dtype();
  spec.accumulate = options.accumulate;
  spec.num_threads = context.num_threads;
  const ThreadCount threads(context.num_threads);
  return dnnl_matmul(context, spec, a.raw(), b.raw(), spec.has_bias ? options.bias->raw() : nullptr, c.raw());
}

/// The product of nothing: c = bias, or c += bias.
void add_bias_only(Context& context, Tensor& c, const GemmOptions& options) {
  Tensor c_float = context.workspace(c.shape(), DType::kFloat32);
  if (options.accumulate) {
    ops::cast(context, c, c_float);
  } else {
    std::memset(c_float.raw(), 0, static_cast<size_t>(c_float.num_bytes()));
  }
  if (options.bias != nullptr) {
    Tensor bias = context.workspace(options.bias->shape(), DType::kFloat32);
    ops::cast(context, *options.bias, bias);
    for (int64_t row = 0; row < c.rows(); ++row)
      for (int64_t col = 0; col < c.cols(); ++col) c_float.row<float>(row)[col] += bias.data<float>()[col];
  }
  ops::cast(context, c_float, c);
}

/// `tensor` itself when it is float32 already.
Tensor as_float32(Context& context, const Tensor& tensor) {
  if (tensor.dtype() == DType::kFloat32) return tensor;
  Tensor result =
      Tensor::allocate_padded(context.allocator, tensor.shape(), DType::kFloat32, MemoryCategory::kWorkspace);
  ops::cast(context, tensor, result);
  return result;
}

/// Rows and columns of an operand as it is multiplied, in the order in which it is stored.
Tensor float32_panel(Context& context, const Tensor& operand, bool transposed, int64_t row, int64_t rows,
                     int64_t col, int64_t cols) {
  return as_float32(context, transposed ? operand.slice(0, col, cols).slice(1, row, rows)
                                        : operand.slice(0, row, rows).slice(1, col, cols));
}

}  // namespace

void gemm_through_float32(Context& context, const Tensor& a, const Tensor& b, Tensor& c,
                          const GemmOptions& options) {
  constexpr int64_t kRows = 1024, kCols = 4096, kDepth = 4096;  // of a panel: 96 MiB of float32 at most
  const int64_t depth = a.size(options.transpose_a ? 0 : 1);
  const Tensor bias = options.bias == nullptr ? Tensor() : as_float32(context, *options.bias);
  for (int64_t col = 0; col < c.size(1); col += kCols)
    for (int64_t row = 0; row < c.size(0); row += kRows) {
      const int64_t rows = std::min(kRows, c.size(0) - row), cols = std::min(kCols, c.size(1) - col);
      Tensor c_panel = c.slice(0, row, rows).slice(1, col, cols);
      const bool direct = c.dtype() == DType::kFloat32;
      Tensor c_float = direct ? c_panel
                              : Tensor::allocate_padded(context.allocator, c_panel.shape(), DType::kFloat32,
                                                        MemoryCategory::kWorkspace);
      if (!direct && options.accumulate) ops::cast(context, c_panel, c_float);
      const Tensor bias_panel = bias.defined() ? bias.slice(0, col, cols) : Tensor();
      for (int64_t k = 0; k < depth; k += kDepth) {
        const Tensor a_float =
            float32_panel(context, a, options.transpose_a, row, rows, k, std::min(kDepth, depth - k));
        const Tensor b_float =
            float32_panel(context, b, options.transpose_b, k, std::min(kDepth, depth - k), col, cols);
        GemmOptions panel_options = options;
        panel_options.accumulate = options.accumulate || k > 0;
        panel_options.bias = bias.defined() && k == 0 ? &bias_panel : nullptr;
        const bool multiplied = multiply(context, a_float, b_float, c_float, panel_options);
        TRIREME_ASSERT(multiplied, "oneDNN multiplies float32 on every CPU");
      }
      if (!direct) ops::cast(context, c_float, c_panel);
    }
}

void gemm(Context& context, const Tensor& a, const Tensor& b, Tensor& c, const GemmOptions& options) {
  if (a.num_elements() == 0) return add_bias_only(context, c, options);
  if (!multiply(context, a, b, c, options)) gemm_through_float32(context, a, b, c, options);
}

}  // namespace trireme::ops::cpu
