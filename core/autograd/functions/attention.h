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

/// Self-attention over one packed projection qkv [B*T, (H + 2G) * K] = [query | key | value]; gives
/// [B*T, H*K]. Rotary positions are applied to queries and keys **in place**: the value of qkv is overwritten
/// (no other Function keeps it). Backward gives one packed gradient. Unfused composition: rotary on column
/// slices, then attention on three tensors.
Variable attention(Context& context, const Variable& qkv, const AttentionArguments& arguments);

/// The three column ranges of a packed projection or of its gradient.
struct PackedSlices {
  Tensor query, key, value;
};
PackedSlices packed_slices(const ops::AttentionShape& shape, const Tensor& qkv);
/// Rotates queries and keys of a packed tensor in place.
void rotate_packed(Context& context, const AttentionArguments& arguments, const Tensor& qkv, bool inverse);

}  // namespace trireme
