#pragma once

#include <vector>

#include "core/autograd/variable.h"

namespace trireme {

struct TokenLoss {
  Variable scaled;    ///< loss_scale * sum: shape [1], float32 (float64), root of backward with gradient 1
  double sum = 0;     ///< of the losses of the rows that count
  int64_t count = 0;  ///< how many they are
};

/// Bytes of logits that exist at a time. One chunk of 1024 rows of a 50304-word vocabulary in float32 fits;
/// smaller chunks make the products slower.
inline constexpr int64_t kLogitsChunkBytes = int64_t{256} << 20;

/// Rows [begin, begin + num_rows) of the pass.
struct RowChunk {
  int64_t begin, num_rows;
};
/// Equal chunks of at most `chunk_bytes` (one row at least): a short last one would be slow.
std::vector<RowChunk> row_chunks(int64_t num_rows, int64_t bytes_per_row, int64_t chunk_bytes);

/// How many targets (int32, contiguous) count.
int64_t count_targets(const Tensor& targets);

/// Sets loss.scaled = loss_scale * loss.sum. With a graph, the gradient of `hidden` has been made in the
/// forward pass: backward gives `d_hidden`, and throws ShapeError when the gradient it is given is not 1.
void record_scaled_loss(Context& context, TokenLoss& loss, double loss_scale, const Variable& hidden,
                        bool graph, Tensor d_hidden);

}  // namespace trireme
