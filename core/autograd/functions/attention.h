#pragma once

#include <optional>

#include "core/autograd/variable.h"
#include "core/ops/attention.h"
#include "core/ops/rotary.h"

namespace trireme {

/// Everything about one attention beside its input. Letters as in core/ops/attention.h.
struct AttentionArguments {
  ops::AttentionShape shape;
  ops::AttentionOptions options;
  std::optional<ops::RotaryOptions> rotary;  ///< num_heads is set here
  Tensor positions;                          ///< int32 [B, T], for rotary
};

/// The three column ranges of projections or of their gradients.
struct PackedSlices {
  Tensor query, key, value;
};

/// The projections that an attention reads: one packed matrix for self-attention; for cross-attention queries
/// [B*T, H*K] beside packed keys and values [B*S, 2*G*K], or beside keys and values [B*S, G*K] on their own,
/// which may be one Variable.
class AttentionInputs {
 public:
  enum class Packing {
    kQueryKeyValue,  ///< [query | key | value], [B*T, (H + 2G) * K]
    kSharedKeyValue  ///< [query = key | value], [B*T, 2 * H * K], G = H: one projection for both
  };
  AttentionInputs(Variable packed, Packing packing = Packing::kQueryKeyValue)
      : variables_{std::move(packed)}, shared_(packing == Packing::kSharedKeyValue) {}
  AttentionInputs(Variable query, Variable key_value) : variables_{std::move(query), std::move(key_value)} {}
  AttentionInputs(Variable query, Variable key, Variable value)
      : variables_{std::move(query), std::move(key), std::move(value)} {}

  const std::vector<Variable>& variables() const { return variables_; }
  bool shared() const { return shared_; }

 private:
  std::vector<Variable> variables_;
  bool shared_ = false;
};

/// What a Function keeps of AttentionInputs: tensors shaped like the Variables.
class AttentionProjections {
 public:
  AttentionProjections() = default;
  explicit AttentionProjections(const AttentionInputs& inputs);
  /// Uninitialised gradients; queries that share columns with keys get a matrix of their own.
  AttentionProjections gradients(Context& context, const ops::AttentionShape& shape) const;
  PackedSlices slices(const ops::AttentionShape& shape) const;
  /// Of gradients: adds those of shared columns; gives them in the order of the inputs.
  std::vector<Tensor> take(Context& context, const ops::AttentionShape& shape);
  /// Rotates queries and keys in place. Throws ConfigError for cross-attention.
  void rotate(Context& context, const AttentionArguments& arguments, bool inverse) const;

 private:
  std::vector<Tensor> tensors_;
  bool shared_ = false;
  Tensor own_queries_;
};

/// Attention over `inputs`; gives [B*T, H*K]. Rotary positions are applied to queries and keys **in place**:
/// the value of the packed projection is overwritten (no other Function keeps it). Unfused composition:
/// rotary on column slices, then attention on three tensors.
Variable attention(Context& context, const AttentionInputs& inputs, const AttentionArguments& arguments);

/// Of one packed projection [query | key | value].
PackedSlices packed_slices(const ops::AttentionShape& shape, const Tensor& qkv);

}  // namespace trireme
