#pragma once

#include <vector>

#include "core/tensor/context.h"

namespace trireme {

/// Keys and values of the tokens seen so far, or the state after them, per layer, so that generation computes
/// each token once. Every sample holds the same number of tokens. A layer's tensors are made when it first
/// appends, with the heads that this rank has.
class KeyValueCache {
 public:
  struct Entry {
    Tensor keys, values;  ///< [B * capacity, G * K]: a sample's rows are neighbours
    Tensor source_keys;   ///< of an encoder-decoder: [B * S, 2 * G * K]
    Tensor hidden, cell;  ///< of a recurrent decoder: the state after the last token, [B, H]
  };

  KeyValueCache(int64_t num_layers, int64_t num_samples, int64_t capacity)
      : num_samples_(num_samples), capacity_(capacity), entries_(static_cast<size_t>(num_layers)) {}

  int64_t length() const { return length_; }  ///< tokens held, before those of the pass under way
  int64_t capacity() const { return capacity_; }
  int64_t num_samples() const { return num_samples_; }

  /// Copies [B*T, G*K] keys (rotated) and values behind what the layer holds. Throws ShapeError when they do
  /// not fit.
  Entry& append(Context& context, int64_t layer, const Tensor& keys, const Tensor& values);
  /// What cross-attention of a layer projected the encoder's output to; undefined before.
  Tensor& source_keys(int64_t layer) { return entries_[static_cast<size_t>(layer)].source_keys; }
  /// The state of a recurrent layer; undefined before its first pass.
  Entry& state(int64_t layer) { return entries_[static_cast<size_t>(layer)]; }
  /// All that the decoder gets from the encoder; empty before the encoder has run.
  std::vector<Tensor> memory;

  /// Ends a pass of T tokens a sample.
  void advance(int64_t num_tokens) { length_ += num_tokens; }

 private:
  int64_t num_samples_;
  int64_t capacity_;
  int64_t length_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace trireme
