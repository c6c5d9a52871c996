#include "core/nn/plain_attention.h"

#include <cmath>

#include "core/autograd/functions/attention.h"
#include "core/base/check.h"
#include "core/nn/key_value_cache.h"
#include "core/ops/checks.h"

namespace trireme::nn {
namespace {

/// Fused where scores are products of queries and keys alone.
Variable attend(Context& context, ForwardPass& pass, const AttentionInputs& inputs,
                const AttentionArguments& arguments, ScoreTables& tables,
                const DisagreementTerm& disagreement) {
  if (tables.empty() && !disagreement.needs_maps(context))
    return disagreement.of_outputs(context, pass, attention(context, inputs, arguments));
  const DType dtype = inputs.variables()[0].value().dtype();
  const Variable distances = tables.distances(context, arguments, dtype);
  const ScoredAttention result = scored_attention(context, inputs, distances, arguments, tables.parameters());
  return disagreement.of_outputs(context, pass,
                                 disagreement.of_maps(context, pass, result.out, result.probabilities));
}

ops::AttentionShape shape_of(const AttentionSpec& spec, const Batch& batch, Sequence keys) {
  return {.num_samples = batch.num_samples(),
          .query_length = batch.length(spec.sequence),
          .key_length = batch.length(keys),
          .num_heads = spec.num_heads,
          .num_query_groups = spec.num_query_groups,
          .head_dim = spec.head_dim};
}

/// Not causal; of the keys all that are no padding.
ops::AttentionOptions options_of(Context& context, ForwardPass& pass, const AttentionSpec& spec,
                                 int64_t head_offset, Sequence keys) {
  const ops::DropoutOptions dropout = dropout_options(context, pass, spec.dropout, spec.name, spec.sequence);
  return {.mask = {.key_begin = {}, .key_end = key_end(context, pass.batch, spec.sequence, keys)},
          .scale = spec.scaled ? 1.0 / std::sqrt(static_cast<double>(spec.head_dim)) : 1.0,
          .dropout = dropout.probability,
          .dropout_key = dropout.key,
          .sample_ids = pass.batch.sample_ids,
          .head_offset = head_offset};
}

}  // namespace

/// Appends the new keys and values to the cache and attends to everything in it. No graph.
Variable PlainAttention::forward_with_cache(Context& context, ForwardPass& pass, AttentionArguments arguments,
                                            const AttentionInputs& inputs) {
  KeyValueCache& cache = *pass.cache;
  TRIREME_ASSERT(!context.grad_enabled, "a key-value cache is for generation, without a graph");
  const AttentionProjections projections(inputs);
  projections.rotate(context, arguments, false);
  const PackedSlices in = projections.slices(arguments.shape);
  KeyValueCache::Entry& entry = cache.append(context, spec_.layer, in.key, in.value);
  arguments.rotary.reset();
  arguments.shape.key_length = cache.length() + arguments.shape.query_length;
  arguments.shape.key_capacity = cache.capacity();
  arguments.options.mask.query_offset = cache.length();
  return attend(context, pass, {Variable(in.query), Variable(entry.keys), Variable(entry.values)}, arguments,
                tables_, disagreement_);
}

Variable PlainAttention::forward(Context& context, ForwardPass& pass, const Variable& qkv) {
  using enum AttentionInputs::Packing;
  const Batch& batch = pass.batch;
  AttentionArguments arguments;
  arguments.shape = shape_of(spec_, batch, spec_.sequence);
  arguments.options = options_of(context, pass, spec_, head_offset_, spec_.sequence);
  arguments.options.mask.causal = spec_.causal;
  if (spec_.sequence == Sequence::kTokens) arguments.options.mask.key_begin = batch.key_begin;
  arguments.rotary = spec_.rotary;
  arguments.positions = batch.positions_of(spec_.sequence);
  const AttentionInputs inputs(disagreement_.of_values(context, pass, qkv, spec_.sequence),
                               spec_.share_query_key ? kSharedKeyValue : kQueryKeyValue);
  if (pass.cache != nullptr && spec_.sequence == Sequence::kTokens)
    return forward_with_cache(context, pass, std::move(arguments), inputs);
  return attend(context, pass, inputs, arguments, tables_, disagreement_);
}

Variable PlainCrossAttention::forward(Context& context, ForwardPass& pass, const Variable& query,
                                      const Variable& key_value) {
  AttentionArguments arguments;
  arguments.shape = shape_of(spec_, pass.batch, Sequence::kSource);
  arguments.options = options_of(context, pass, spec_, head_offset_, Sequence::kSource);
  return attend(context, pass, {query, disagreement_.of_values(context, pass, key_value, Sequence::kSource)},
                arguments, tables_, disagreement_);
}

}  // namespace trireme::nn
