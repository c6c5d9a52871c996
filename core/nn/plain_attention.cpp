#include "core/nn/plain_attention.h"

#include <cmath>

#include "core/autograd/functions/attention.h"
#include "core/autograd/functions/cross_attention.h"
#include "core/base/check.h"
#include "core/nn/key_value_cache.h"
#include "core/ops/checks.h"

namespace trireme::nn {
namespace {

/// Appends the new keys and values to the cache and attends to everything in it. No graph.
Variable attention_with_cache(Context& context, AttentionArguments arguments, KeyValueCache& cache,
                              int64_t layer, const Tensor& qkv) {
  TRIREME_ASSERT(!context.grad_enabled, "a key-value cache is for generation, without a graph");
  rotate_packed(context, arguments, qkv, false);
  const PackedSlices in = packed_slices(arguments.shape, qkv);
  KeyValueCache::Entry& entry = cache.append(context, layer, in.key, in.value);
  arguments.shape.key_length = cache.length() + arguments.shape.query_length;
  arguments.shape.key_capacity = cache.capacity();
  arguments.options.mask.query_offset = cache.length();
  Tensor out = context.activation(in.query.shape(), qkv.dtype());
  Tensor log_sum_exp =
      Tensor::allocate(context.allocator,
                       {arguments.shape.num_samples, arguments.shape.num_heads, arguments.shape.query_length},
                       ops::wide_dtype(qkv.dtype()), MemoryCategory::kActivations);
  ops::attention_forward(context, arguments.shape, arguments.options, in.query, entry.keys, entry.values, out,
                         log_sum_exp);
  return Variable(std::move(out));
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
          .scale = 1.0 / std::sqrt(static_cast<double>(spec.head_dim)),
          .dropout = dropout.probability,
          .dropout_key = dropout.key,
          .sample_ids = pass.batch.sample_ids,
          .head_offset = head_offset};
}

}  // namespace

Variable PlainAttention::forward(Context& context, ForwardPass& pass, const Variable& qkv) {
  const Batch& batch = pass.batch;
  AttentionArguments arguments;
  arguments.shape = shape_of(spec_, batch, spec_.sequence);
  arguments.options = options_of(context, pass, spec_, head_offset_, spec_.sequence);
  arguments.options.mask.causal = spec_.causal;
  if (spec_.sequence == Sequence::kTokens) arguments.options.mask.key_begin = batch.key_begin;
  arguments.rotary = spec_.rotary;
  arguments.positions = batch.positions_of(spec_.sequence);
  if (pass.cache != nullptr && spec_.sequence == Sequence::kTokens)
    return attention_with_cache(context, std::move(arguments), *pass.cache, spec_.layer, qkv.value());
  return attention(context, qkv, arguments);
}

Variable PlainCrossAttention::forward(Context& context, ForwardPass& pass, const Variable& query,
                                      const Variable& key_value) {
  return cross_attention(context, query, key_value, shape_of(spec_, pass.batch, Sequence::kSource),
                         options_of(context, pass, spec_, head_offset_, Sequence::kSource));
}

}  // namespace trireme::nn
