#pragma once

#include "core/nn/layer_builder.h"

namespace trireme::nn {

/// Attention over all the heads it is given. `head_offset`: global index of the first one, a coordinate of
/// dropout.
class PlainAttention final : public SelfAttention {
 public:
  explicit PlainAttention(const AttentionSpec& spec, int64_t head_offset = 0)
      : spec_(spec), head_offset_(head_offset) {}
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, ForwardPass& pass, const Variable& qkv) override;

 private:
  AttentionSpec spec_;
  int64_t head_offset_;
};

/// The same for the source's keys and values.
class PlainCrossAttention final : public CrossAttention {
 public:
  explicit PlainCrossAttention(const AttentionSpec& spec, int64_t head_offset = 0)
      : spec_(spec), head_offset_(head_offset) {}
  void collect(std::vector<Parameter*>&) override {}
  Variable forward(Context& context, ForwardPass& pass, const Variable& query,
                   const Variable& key_value) override;

 private:
  AttentionSpec spec_;
  int64_t head_offset_;
};

}  // namespace trireme::nn
