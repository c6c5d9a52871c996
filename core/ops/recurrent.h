#pragma once

#include "core/tensor/context.h"

namespace trireme::ops {

/// The recurrent part of RNN (Elman 1990), GRU (Cho et al. 2014) and LSTM (Hochreiter and Schmidhuber 1997)
/// layers, with PyTorch's formulas, gate order and two biases. Letters: B samples, T steps, H hidden size, G
/// gates:
///
///   RNN   h = f(x + W h' + b), f tanh or ReLU
///   GRU   r, z = sigmoid(x + W h' + b), n = tanh(x_n + r * (W_n h' + b_n)), h = (1 - z) * n + z * h'
///   LSTM  i, f, o = sigmoid(x + W h' + b), g = tanh(x_g + ..), c = f * c' + i * g, h = o * tanh(c)
///
/// Gates lie in the order r, z, n and i, f, g, o. x is the input's projection, with the input's bias.
enum class RecurrentKind { kRnnTanh, kRnnRelu, kGru, kLstm };

int64_t num_gates(RecurrentKind kind);  ///< 1, 1, 3, 4

struct RecurrentOptions {
  RecurrentKind kind = RecurrentKind::kGru;
  int64_t num_samples = 0;  ///< B
  int64_t length = 0;       ///< T; 1: the step of a decoder
  int64_t hidden_size = 0;  ///< H
  bool reverse = false;     ///< from each sample's last step to its first
  Tensor lengths = {};      ///< int32 [B], optional: T. Beyond it the state stands still and outputs are zero
};

/// W [G*H, H] and b [G*H] (null: none), of the type of x.
struct RecurrentWeights {
  Tensor weight;
  const Tensor* bias = nullptr;
};

/// hidden [B, H]; cell [B, H] for LSTM, else undefined. Of the type of x.
struct RecurrentState {
  Tensor hidden, cell = {};
};

/// What backward needs, step by step: steps lie one behind another, [T*B, ..].
struct RecurrentSaved {
  Tensor previous_hidden;  ///< [T*B, H], of the type of x: with the gradient of the gates it makes that of W
  Tensor gates;            ///< [T*B, G*H] after their functions, float32 (float64)
  Tensor extra;            ///< [T*B, H], float32 (float64): GRU W_n h' + b_n, LSTM c; undefined for RNN
};
RecurrentSaved make_recurrent_saved(Context& context, const RecurrentOptions& options, DType dtype);

/// x [B*T, G*H], row b * T + t; out [B*T, H]; `last` is the state after each sample's last step. Throws
/// ShapeError; DataError for a length outside [0, T].
void recurrent_forward(Context& context, const RecurrentOptions& options, const Tensor& x,
                       const RecurrentWeights& weights, const RecurrentState& first, Tensor& out,
                       RecurrentState& last, RecurrentSaved& saved);

/// d_x [B*T, G*H] and d_recurrent [T*B, G*H] (the gradient of W h' + b, steps one behind another): dW =
/// d_recurrent^T previous_hidden, db = its column sums. d_first gets the gradient of the first state. A
/// gradient that is undefined in d_last is zero. All written.
void recurrent_backward(Context& context, const RecurrentOptions& options, const RecurrentWeights& weights,
                        const RecurrentState& first, const RecurrentSaved& saved, const Tensor& d_out,
                        const RecurrentState& d_last, Tensor& d_x, Tensor& d_recurrent,
                        RecurrentState& d_first);

}  // namespace trireme::ops
