#include "tests/bench/gemm_rate.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "core/ops/gemm.h"

namespace trireme::bench {
namespace {

constexpr int kCalls = 4;

struct Product {
  int64_t m, n, k;
  bool transpose_a, transpose_b;
  bool float_result;  ///< a weight gradient is summed in float32
};

Tensor filled(Context& context, int64_t rows, int64_t cols, DType dtype) {
  Tensor tensor = context.activation({rows, cols}, dtype);
  dispatch_floating(dtype, [&](auto zero) {
    using T = decltype(zero);
    for (int64_t row = 0; row < rows; ++row) {
      T* values = tensor.row<T>(row);
      for (int64_t col = 0; col < cols; ++col)
        values[col] = T(static_cast<float>((row + 7 * col) % 13) - 6.0f);
    }
  });
  return tensor;
}

double best_seconds(Context& context, const Product& product, DType dtype) {
  const Tensor a = product.transpose_a ? filled(context, product.k, product.m, dtype)
                                       : filled(context, product.m, product.k, dtype);
  const Tensor b = product.transpose_b ? filled(context, product.n, product.k, dtype)
                                       : filled(context, product.k, product.n, dtype);
  Tensor c = context.activation({product.m, product.n}, product.float_result ? DType::kFloat32 : dtype);
  ops::GemmOptions options;
  options.transpose_a = product.transpose_a;
  options.transpose_b = product.transpose_b;
  double best = 1e30;
  for (int call = 0; call < kCalls; ++call) {
    const auto start = std::chrono::steady_clock::now();
    ops::gemm(context, a, b, c, options);
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

}  // namespace

double measure_gemm_rate(Context& context, const ModelConfig& config, int64_t num_tokens, DType dtype) {
  struct Layer {
    int64_t in, out, count;
  };
  const int64_t width = config.hidden_size;
  const std::vector<Layer> layers = {{width, 3 * width, config.num_layers},
                                     {width, width, config.num_layers},
                                     {width, 4 * width, config.num_layers},
                                     {4 * width, width, config.num_layers},
                                     {width, config.vocab_size, 1}};
  double operations = 0, seconds = 0;
  for (const Layer& layer : layers) {
    const Product products[] = {
        {num_tokens, layer.out, layer.in, false, true, false},   // y = x W^T
        {num_tokens, layer.in, layer.out, false, false, false},  // dx = dy W
        {layer.out, layer.in, num_tokens, true, false, true},    // dW = dy^T x
    };
    for (const Product& product : products) {
      operations +=
          2.0 * static_cast<double>(layer.count * product.m * product.n) * static_cast<double>(product.k);
      seconds += static_cast<double>(layer.count) * best_seconds(context, product, dtype);
    }
  }
  context.allocator.release_cached();
  return operations / seconds;
}

}  // namespace trireme::bench
