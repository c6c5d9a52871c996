#pragma once

#include "core/nn/layer_builder.h"

namespace trireme::nn {

class PlainRecurrence final : public Recurrence {
 public:
  explicit PlainRecurrence(const RecurrenceSpec& spec);
  void collect(std::vector<Parameter*>& parameters) override;
  RecurrentResult forward(Context& context, const Variable& projected, int64_t num_samples,
                          const Tensor& lengths, const RecurrentVariables& first) override;

 private:
  RecurrenceSpec spec_;
  Parameter weight_;
  std::optional<Parameter> bias_;
};

class PlainStateAttention final : public StateAttention {
 public:
  explicit PlainStateAttention(const StateAttentionSpec& spec);
  void collect(std::vector<Parameter*>& parameters) override;
  Variable forward(Context& context, ForwardPass& pass, const Variable& query, const Variable& key,
                   const Variable& value) override;

 private:
  int64_t features_;
  std::optional<Parameter> additive_;
};

}  // namespace trireme::nn
