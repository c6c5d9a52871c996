#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/nn/forward_pass.h"
#include "core/nn/key_value_cache.h"
#include "core/nn/module.h"

namespace trireme {

/// An embedding looks rows up; layers are what people count and cut between; a head is what follows them.
enum class BlockKind { kEmbedding, kLayer, kHead };

/// A model is a list of blocks, cut anywhere by a pipeline. A block maps an ordered set of Variables to
/// another; the first takes none (it reads the batch), the last (the head) gives the scaled loss.
class Block : public nn::Module {
 public:
  virtual std::vector<Variable> forward(Context& context, ForwardPass& pass,
                                        const std::vector<Variable>& inputs) = 0;
  /// Multiplications of the forward pass for one token of a sequence, over all ranks that share the block:
  /// what stages of a pipeline are balanced by. Causal attention counts the half that is needed.
  virtual double products_per_token(int64_t seq_length) const = 0;
  virtual BlockKind kind() const = 0;
};

/// The last block: {x, ...} -> {scaled loss}.
class Head : public Block {
 public:
  BlockKind kind() const override { return BlockKind::kHead; }
  /// Of every row of x over the vocabulary, in the compute type; no graph.
  virtual Tensor logits(Context& context, ForwardPass& pass, const Tensor& x) = 0;
};

/// A model family, as one rank would write it.
class Model {
 public:
  virtual ~Model() = default;
  virtual const std::vector<std::unique_ptr<Block>>& blocks() const = 0;
  /// Shapes of the Variables, in the compute type, that enter block `block` (not the first) on this rank.
  virtual std::vector<Shape> boundary_shapes(const Batch& batch, size_t block) const = 0;
  /// Scaled loss of a micro-batch: a float32 (float64) scalar, shape [1]; root of backward with gradient 1.
  virtual Variable loss(Context& context, ForwardPass& pass) = 0;
  /// Logits [B*T, V] (or of the last position of each sample only: [B, V]) in the compute type, as evaluation
  /// computes them: no graph, no dropout, running statistics.
  /// Of a classifier [B, classes], of every sample. With pass.cache the batch holds the tokens that follow
  /// those in the cache, which then holds them too.
  virtual Tensor logits(Context& context, ForwardPass& pass, bool last_position_only) = 0;
  /// Forward-pass order; tied ones once.
  virtual std::vector<Parameter*> parameters() = 0;
  /// State that is not trained, in the same order.
  virtual std::vector<Buffer*> buffers() = 0;
  virtual std::unique_ptr<KeyValueCache> make_cache(Context& context, int64_t num_samples,
                                                    int64_t capacity) = 0;
  /// Trained numbers, and those that take part in products per token (for FLOP counts: without position
  /// embeddings, the tied vocabulary matrix once).
  virtual int64_t num_parameters() const = 0;
  virtual int64_t num_flop_parameters() const = 0;
};

}  // namespace trireme
