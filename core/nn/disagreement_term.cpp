#include "core/nn/disagreement_term.h"

#include "core/autograd/functions/support.h"

namespace trireme::nn {
using Of = DisagreementSpec::Of;

Variable DisagreementTerm::of_values(Context& context, ForwardPass& pass, const Variable& packed,
                                     Sequence keys) const {
  if (!is_of(context, Of::kSubspaces)) return packed;
  const int64_t heads = spec_.num_query_groups, dim = spec_.head_dim;
  const HeadColumns columns{pass.batch.num_samples(), packed.value().cols() - heads * dim, heads, dim};
  return join(context, pass, packed,
              head_disagreement(context, packed, columns, counted_rows(context, pass, keys), keys_));
}

Variable DisagreementTerm::of_outputs(Context& context, ForwardPass& pass, const Variable& out) const {
  if (!is_of(context, Of::kOutputs)) return out;
  const HeadColumns columns{pass.batch.num_samples(), 0, spec_.num_heads, spec_.head_dim};
  return join(
      context, pass, out,
      head_disagreement(context, out, columns, counted_rows(context, pass, spec_.sequence), queries_));
}

Variable DisagreementTerm::of_maps(Context& context, ForwardPass& pass, const Variable& out,
                                   const Variable& probabilities) const {
  if (!needs_maps(context)) return out;
  return join(
      context, pass, out,
      map_disagreement(context, probabilities, counted_rows(context, pass, spec_.sequence), queries_));
}

Variable DisagreementTerm::join(Context& context, ForwardPass& pass, const Variable& x,
                                const Variable& term) const {
  const double weight = spec_.disagreement.weight;
  LossSum& loss = pass.losses[LossTerm::kDisagreement];
  loss.sum -= weight * first_element(term.value());
  loss.count = pass.batch.num_samples();
  return joined(context, x, term, -weight * pass.loss_scale[LossTerm::kDisagreement]);
}

}  // namespace trireme::nn
