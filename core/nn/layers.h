#pragma once

#include "core/autograd/functions/complex_embedding.h"
#include "core/autograd/functions/recurrent.h"
#include "core/autograd/functions/residual_norm.h"
#include "core/nn/forward_pass.h"
#include "core/nn/module.h"

namespace trireme::nn {

// What a model is made of. A LayerBuilder makes them; plain ones compute on this rank alone, partitioned ones
// have their collectives inside. Activations are [B*T, features].

/// y = x W^T + b.
class Linear : public Module {
 public:
  virtual Variable forward(Context& context, const Variable& x) = 0;
};

/// Rows of the vocabulary matrix [V, D].
class VocabularyEmbedding : public Module {
 public:
  virtual Variable forward(Context& context, const Tensor& tokens) = 0;
  virtual Parameter& weight() = 0;
};

/// Rows of a complex-valued vocabulary, which know their positions: core/ops/complex_embedding.h.
class ComplexEmbedding : public Module {
 public:
  virtual Variable forward(Context& context, const Tensor& tokens, const Tensor& positions) = 0;
  virtual ComplexTables tables() = 0;
};

/// x + the rows of a table of positions, learned or not.
class PositionEmbedding : public Module {
 public:
  virtual Variable forward(Context& context, const Variable& x, const Tensor& positions) = 0;
};

class Dropout : public Module {
 public:
  virtual Variable forward(Context& context, ForwardPass& pass, const Variable& x) = 0;
};

class Norm : public Module {
 public:
  virtual Variable forward(Context& context, ForwardPass& pass, const Variable& x) = 0;
};

/// sum = x, normalized = norm(x).
class ForkNorm : public Module {
 public:
  virtual ResidualNormOutput forward(Context& context, const Variable& x) = 0;
};

/// sum = residual + dropout(branch), normalized = norm(sum).
class ResidualNorm : public Module {
 public:
  virtual ResidualNormOutput forward(Context& context, ForwardPass& pass, const Variable& branch,
                                     const Variable& residual) = 0;
};

/// residual + dropout(branch).
class ResidualAdd : public Module {
 public:
  virtual Variable forward(Context& context, ForwardPass& pass, const Variable& branch,
                           const Variable& residual) = 0;
};

/// Self-attention over the heads of a packed projection [query | key | value]; its parameters are those of
/// ScoreSpec. Keys that are padding, or of another document, are not seen. Queries and keys in the value of
/// qkv may be overwritten. With pass.cache, keys and values are appended to this layer's entry and all of it
/// is attended to.
class SelfAttention : public Module {
 public:
  virtual Variable forward(Context& context, ForwardPass& pass, const Variable& qkv) = 0;
};

/// Attention of queries to the source's keys and values, packed [key | value]; parameters: ScoreSpec's.
class CrossAttention : public Module {
 public:
  virtual Variable forward(Context& context, ForwardPass& pass, const Variable& query,
                           const Variable& key_value) = 0;
};

/// What a recurrent layer does beside the projection of its input onto the gates: core/ops/recurrent.h.
class Recurrence : public Module {
 public:
  /// `projected` [B*T, G*H]. `lengths`: int32 [B], undefined: T. A first state that is undefined is zeros.
  virtual RecurrentResult forward(Context& context, const Variable& projected, int64_t num_samples,
                                  const Tensor& lengths, const RecurrentVariables& first) = 0;
};

/// Attention of a recurrent decoder's states [B*T, D] to the encoder's states, keys and values [B*S, D]. Keys
/// that are padding are not seen.
class StateAttention : public Module {
 public:
  virtual Variable forward(Context& context, ForwardPass& pass, const Variable& query, const Variable& key,
                           const Variable& value) = 0;
};

/// The first row of every sample of the residual stream: [B*T, D] -> [B, D], whole on every rank.
class FirstRows : public Module {
 public:
  virtual Variable forward(Context& context, const ForwardPass& pass, const Variable& x) = 0;
};

/// Projection of a row a sample onto classes, and cross-entropy against batch.labels.
class SampleLoss : public Module {
 public:
  /// As VocabularyLoss::loss, of LossTerm::kSamples.
  virtual Variable loss(Context& context, ForwardPass& pass, const Variable& rows) = 0;
  /// [B, classes] in the compute type; no graph.
  virtual Tensor logits(Context& context, const Tensor& rows) = 0;
};

/// Projection onto the vocabulary and cross-entropy against batch.targets.
class VocabularyLoss : public Module {
 public:
  /// pass.loss_scale * sum of the losses, shape [1]; sums and counts are put into the pass.
  virtual Variable loss(Context& context, ForwardPass& pass, const Variable& hidden) = 0;
  /// [rows, V] in the compute type; no graph.
  virtual Tensor logits(Context& context, const Tensor& hidden) = 0;
};

}  // namespace trireme::nn
