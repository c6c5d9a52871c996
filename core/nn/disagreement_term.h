#pragma once

#include "core/autograd/functions/disagreement.h"
#include "core/nn/layer_builder.h"

namespace trireme::nn {

/// What an attention adds to the loss of its pass so that its heads differ, as DisagreementSpec says. Each
/// method gives its first Variable as it is, joined to the term where it is of that; in training only.
class DisagreementTerm {
 public:
  /// Of all heads, on this rank.
  explicit DisagreementTerm(const AttentionSpec& spec) : spec_(spec) {}
  /// `spec` has this rank's heads. `queries`, `keys`: how query heads, and key and value heads, are divided.
  DisagreementTerm(const AttentionSpec& spec, HeadsOfAllRanks queries, HeadsOfAllRanks keys)
      : spec_(spec), queries_(std::move(queries)), keys_(std::move(keys)) {}

  /// Values: the last columns of a packed projection of the rows of `keys`.
  Variable of_values(Context& context, ForwardPass& pass, const Variable& packed, Sequence keys) const;
  /// [B*T, H*K].
  Variable of_outputs(Context& context, ForwardPass& pass, const Variable& out) const;
  Variable of_maps(Context& context, ForwardPass& pass, const Variable& out,
                   const Variable& probabilities) const;
  /// Whether of_maps has something to do, so that probabilities are wanted.
  bool needs_maps(const Context& context) const { return is_of(context, DisagreementSpec::Of::kMaps); }

 private:
  bool is_of(const Context& context, DisagreementSpec::Of what) const {
    return context.training && spec_.disagreement.of == what;
  }
  Variable join(Context& context, ForwardPass& pass, const Variable& x, const Variable& term) const;

  AttentionSpec spec_;
  HeadsOfAllRanks queries_, keys_;
};

}  // namespace trireme::nn
