#pragma once

#include <functional>

#include "core/autograd/parameter.h"
#include "core/autograd/variable.h"
#include "core/ops/cross_entropy.h"

namespace trireme {

struct TokenLoss {
  Variable scaled;    ///< loss_scale * sum: shape [1], float32 (float64), root of backward with gradient 1
  double sum = 0;     ///< of the losses of the rows that count
  int64_t count = 0;  ///< how many they are
  int64_t right = 0;  ///< how many of them were predicted right: no logit above the target's
};

/// Bytes of logits that exist at a time. One chunk of 1024 rows of a 50304-word vocabulary in float32 fits;
/// smaller chunks make the products slower.
inline constexpr int64_t kLogitsChunkBytes = int64_t{256} << 20;

struct TokenLossOptions {
  Parameter* bias = nullptr;  ///< [V], added to every row of logits
  ops::LabelSmoothing smoothing = {};
  int64_t chunk_bytes = kLogitsChunkBytes;
};

/// What came of one chunk of logits.
struct ChunkLoss {
  double sum = 0;
  int64_t right = 0;
};
/// Turns the logits of a chunk (workspace [r, V], padded rows) and its targets into their loss and, with
/// `gradient`, writes the gradient of loss_scale * sum over the logits.
using LossOfChunk = std::function<ChunkLoss(Tensor& logits, const Tensor& targets, bool gradient)>;

/// The loss of the rows x [R, D] against weight [V, D] and bias [V] (null: none), without ever holding all
/// their logits: equal chunks of rows, each of at most `chunk_bytes` where a row of logits takes `row_bytes`
/// (a short last one would be slow). Where less than three quarters of the rows count, those alone are
/// gathered and multiplied. With `graph` weight and bias get their gradients and `d_x`, where defined, that
/// of x (it may be wider than x). Fills all of TokenLoss but `scaled`, which record_scaled_loss makes.
TokenLoss chunked_loss(Context& context, const Tensor& x, Parameter& weight, Parameter* bias,
                       const Tensor& targets, int64_t row_bytes, int64_t chunk_bytes, bool graph,
                       const Tensor& d_x, const LossOfChunk& loss_of);

/// Sets loss.scaled = loss_scale * loss.sum. With a graph, the gradient of `hidden` has been made in the
/// forward pass: backward gives `d_hidden`, and throws ShapeError when the gradient it is given is not 1.
void record_scaled_loss(Context& context, TokenLoss& loss, double loss_scale, const Variable& hidden,
                        bool graph, Tensor d_hidden);

}  // namespace trireme
