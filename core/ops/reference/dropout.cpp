#include "core/ops/reference/dropout.h"

#include "core/ops/reference/element.h"

namespace trireme::ops::reference {

void dropout(Context&, const DropoutOptions& options, const Tensor& x, const Tensor* residual, Tensor& y) {
  dispatch_floating(x.dtype(), [&]<class T>(T) {
    const uint32_t threshold = dropout_threshold(options.probability);
    const double scale = 1.0 / (1.0 - options.probability);
    const int64_t length = options.positions.cols();
    for (int64_t i = 0; i < x.rows(); ++i) {
      const int64_t sample = options.sample_ids.data<int64_t>()[i / length];
      const int64_t position = options.positions.row<int32_t>(i / length)[i % length];
      for (int64_t j = 0; j < x.cols(); ++j) {
        const int64_t feature = options.feature_offset + j;
        const auto bits = philox(options.key, activation_counter(sample, position, feature / 4));
        const bool kept = bits[static_cast<size_t>(feature % 4)] >= threshold;
        const double base = residual != nullptr ? load(residual->row<T>(i)[j]) : 0.0;
        store(y.row<T>(i)[j], base + (kept ? load(x.row<T>(i)[j]) * scale : 0.0));
      }
    }
  });
}

}  // namespace trireme::ops::reference
