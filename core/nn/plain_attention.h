#pragma once

#include "core/nn/disagreement_term.h"
#include "core/nn/score_tables.h"

namespace trireme::nn {

/// Attention over all the heads it is given. `head_offset`: global index of the first one, a coordinate of
/// dropout. Fused where scores are products alone and nobody asks for probabilities, else with these kept.
class PlainAttention final : public SelfAttention {
 public:
  PlainAttention(const AttentionSpec& spec, ScoreTables tables, DisagreementTerm disagreement,
                 int64_t head_offset = 0)
      : spec_(spec),
        tables_(std::move(tables)),
        disagreement_(std::move(disagreement)),
        head_offset_(head_offset) {}
  void collect(std::vector<Parameter*>& parameters) override { tables_.collect(parameters); }
  Variable forward(Context& context, ForwardPass& pass, const Variable& qkv) override;

 private:
  Variable forward_with_cache(Context& context, ForwardPass& pass, AttentionArguments arguments,
                              const AttentionInputs& inputs);

  AttentionSpec spec_;
  ScoreTables tables_;
  DisagreementTerm disagreement_;
  int64_t head_offset_;
};

/// The same for the source's keys and values.
class PlainCrossAttention final : public CrossAttention {
 public:
  PlainCrossAttention(const AttentionSpec& spec, ScoreTables tables, DisagreementTerm disagreement,
                      int64_t head_offset = 0)
      : spec_(spec),
        tables_(std::move(tables)),
        disagreement_(std::move(disagreement)),
        head_offset_(head_offset) {}
  void collect(std::vector<Parameter*>& parameters) override { tables_.collect(parameters); }
  Variable forward(Context& context, ForwardPass& pass, const Variable& query,
                   const Variable& key_value) override;

 private:
  AttentionSpec spec_;
  ScoreTables tables_;
  DisagreementTerm disagreement_;
  int64_t head_offset_;
};

}  // namespace trireme::nn
