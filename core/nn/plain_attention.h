#pragma once

#include "core/nn/layer_builder.h"
#include "core/nn/score_tables.h"

namespace trireme::nn {

/// Attention over all the heads it is given. `head_offset`: global index of the first one, a coordinate of
/// dropout. Fused where scores are products alone, else with the probabilities kept.
class PlainAttention final : public SelfAttention {
 public:
  PlainAttention(const AttentionSpec& spec, ScoreTables tables, int64_t head_offset = 0)
      : spec_(spec), tables_(std::move(tables)), head_offset_(head_offset) {}
  void collect(std::vector<Parameter*>& parameters) override { tables_.collect(parameters); }
  Variable forward(Context& context, ForwardPass& pass, const Variable& qkv) override;

 private:
  Variable forward_with_cache(Context& context, KeyValueCache& cache, AttentionArguments arguments,
                              const AttentionInputs& inputs);

  AttentionSpec spec_;
  ScoreTables tables_;
  int64_t head_offset_;
};

/// The same for the source's keys and values.
class PlainCrossAttention final : public CrossAttention {
 public:
  PlainCrossAttention(const AttentionSpec& spec, ScoreTables tables, int64_t head_offset = 0)
      : spec_(spec), tables_(std::move(tables)), head_offset_(head_offset) {}
  void collect(std::vector<Parameter*>& parameters) override { tables_.collect(parameters); }
  Variable forward(Context& context, ForwardPass& pass, const Variable& query,
                   const Variable& key_value) override;

 private:
  AttentionSpec spec_;
  ScoreTables tables_;
  int64_t head_offset_;
};

}  // namespace trireme::nn
