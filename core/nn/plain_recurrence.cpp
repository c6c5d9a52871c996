#include "core/nn/plain_recurrence.h"

#include <algorithm>

#include "core/autograd/functions/scored_attention.h"
#include "core/nn/parameters.h"

namespace trireme::nn {
namespace {

/// For each of a sample's queries the end of the source's tokens; undefined where it has no padding.
Tensor source_end(Context& context, const Batch& batch, int64_t num_queries) {
  if (!batch.source_lengths.defined()) return {};
  Tensor ends = context.workspace({batch.num_samples(), num_queries}, DType::kInt32);
  for (int64_t sample = 0; sample < batch.num_samples(); ++sample)
    std::fill_n(ends.row<int32_t>(sample), num_queries, batch.source_lengths.data<int32_t>()[sample]);
  return ends;
}

}  // namespace

PlainRecurrence::PlainRecurrence(const RecurrenceSpec& spec) : spec_(spec) {
  const int64_t gates = ops::num_gates(spec.kind) * spec.hidden_size;
  weight_ = whole_parameter(spec.name + ".weight", {gates, spec.hidden_size}, spec.init, true);
  if (spec.bias) bias_ = whole_parameter(spec.name + ".bias", {gates}, zeros(), false);
}

void PlainRecurrence::collect(std::vector<Parameter*>& parameters) {
  parameters.push_back(&weight_);
  if (bias_) parameters.push_back(&*bias_);
}

RecurrentResult PlainRecurrence::forward(Context& context, const Variable& projected, int64_t num_samples,
                                         const Tensor& lengths, const RecurrentVariables& first) {
  const ops::RecurrentOptions options{.kind = spec_.kind,
                                      .num_samples = num_samples,
                                      .length = projected.value().rows() / num_samples,
                                      .hidden_size = spec_.hidden_size,
                                      .reverse = spec_.reverse,
                                      .lengths = lengths};
  return recurrent(context, options, projected, weight_, bias_ ? &*bias_ : nullptr, first);
}

PlainStateAttention::PlainStateAttention(const StateAttentionSpec& spec) : features_(spec.features) {
  if (spec.additive) additive_ = whole_parameter(spec.name + ".weight", {1, spec.features}, spec.init, true);
}

void PlainStateAttention::collect(std::vector<Parameter*>& parameters) {
  if (additive_) parameters.push_back(&*additive_);
}

Variable PlainStateAttention::forward(Context& context, ForwardPass& pass, const Variable& query,
                                      const Variable& key, const Variable& value) {
  AttentionArguments arguments;
  arguments.shape = {.num_samples = pass.batch.num_samples(),
                     .query_length = query.value().rows() / pass.batch.num_samples(),
                     .key_length = pass.batch.length(Sequence::kSource),
                     .num_heads = 1,
                     .num_query_groups = 1,
                     .head_dim = features_};
  arguments.options.mask.key_end = source_end(context, pass.batch, arguments.shape.query_length);
  const AttentionInputs inputs(query, key, value);
  if (!additive_) return attention(context, inputs, arguments);
  return scored_attention(context, inputs, {}, arguments, {.additive = &*additive_}).out;
}

}  // namespace trireme::nn
